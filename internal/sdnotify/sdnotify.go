// Package sdnotify tells the service manager how a process does, by the
// datagram protocol of systemd's sd_notify(3). Without a manager that listens
// all of it does nothing.
//
// Methods may be called by several goroutines.
package sdnotify

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Notifier sends to one service manager. The zero value and nil send nowhere.
type Notifier struct {
	addr     string
	watchdog time.Duration

	mu   sync.Mutex // guards conn
	conn net.Conn
}

// FromEnv takes the address and the watchdog's period from NOTIFY_SOCKET,
// WATCHDOG_USEC and WATCHDOG_PID, as getenv gives them. A notifier is always
// returned.
func FromEnv(getenv func(string) string) *Notifier {
	n := &Notifier{addr: getenv("NOTIFY_SOCKET")}
	if strings.HasPrefix(n.addr, "@") {
		n.addr = "\x00" + n.addr[1:] // abstract
	}
	micros, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	pid := getenv("WATCHDOG_PID")
	if err == nil && micros > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(micros) * time.Microsecond
	}
	return n
}

// Ready says that the start is complete.
func (n *Notifier) Ready(status string) error { return n.send("READY=1\nSTATUS=" + oneLine(status)) }

// Stopping says that the process is on its way out.
func (n *Notifier) Stopping(why string) error { return n.send("STOPPING=1\nSTATUS=" + oneLine(why)) }

// Status gives the line that systemctl status shows.
func (n *Notifier) Status(text string) error { return n.send("STATUS=" + oneLine(text)) }

// Watch feeds the manager's watchdog for as long as alive answers true, three
// times a period, until ctx is done. Without a watchdog it returns at once.
func (n *Notifier) Watch(ctx context.Context, alive func() bool) {
	if n == nil || n.watchdog == 0 {
		return
	}
	tick := time.NewTicker(max(n.watchdog/3, time.Millisecond))
	defer tick.Stop()
	for {
		if alive() {
			n.send("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (n *Notifier) send(text string) error {
	if n == nil || n.addr == "" {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn == nil {
		conn, err := net.Dial("unixgram", n.addr)
		if err != nil {
			return fmt.Errorf("tell the service manager at NOTIFY_SOCKET: %w", err)
		}
		n.conn = conn
	}
	_, err := n.conn.Write([]byte(text))
	return err
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }
