package sdnotify

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func read(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestMessages(t *testing.T) {
	for name, addr := range map[string]string{"path": filepath.Join(t.TempDir(), "s"), "abstract": "@moothall-sdnotify-" + strconv.Itoa(os.Getpid())} {
		t.Run(name, func(t *testing.T) {
			c := listen(t, addr)
			n := FromEnv(func(key string) string { return map[string]string{"NOTIFY_SOCKET": addr}[key] })
			for want, send := range map[string]func() error{
				"READY=1\nSTATUS=ring 1/4":     func() error { return n.Ready("ring 1/4") },
				"STOPPING=1\nSTATUS=asked to":  func() error { return n.Stopping("asked to") },
				"STATUS=two; lines, one field": func() error { return n.Status("two\nlines, one field") },
			} {
				if err := send(); err != nil {
					t.Fatal(err)
				}
				if got := read(t, c); got != want {
					t.Errorf("sent %q, want %q", got, want)
				}
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	var none *Notifier
	if err := none.Ready("x"); err != nil {
		t.Error(err)
	}
	if err := FromEnv(func(string) string { return "" }).Ready("x"); err != nil {
		t.Error(err)
	}
	n := FromEnv(func(key string) string { return map[string]string{"NOTIFY_SOCKET": "/nowhere/s"}[key] })
	if err := n.Ready("x"); err == nil {
		t.Error("no error for a socket that is not there")
	}
}

func TestWatchdogStarvesWhenNotAlive(t *testing.T) {
	addr := filepath.Join(t.TempDir(), "s")
	c := listen(t, addr)
	env := map[string]string{"NOTIFY_SOCKET": addr, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())}
	n := FromEnv(func(key string) string { return env[key] })
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var alive atomic.Bool
		alive.Store(true)
		done := make(chan struct{})
		go func() { n.Watch(ctx, alive.Load); close(done) }()
		time.Sleep(2500 * time.Millisecond) // fed at 0, 1 and 2 s
		alive.Store(false)
		time.Sleep(10 * time.Second)
		cancel()
		<-done
	})
	for range 3 {
		if got := read(t, c); got != "WATCHDOG=1" {
			t.Errorf("sent %q", got)
		}
	}
	c.SetReadDeadline(time.Unix(1, 0))
	if n, err := c.Read(make([]byte, 10)); err == nil {
		t.Errorf("fed %d bytes while not alive", n)
	}
	env["WATCHDOG_PID"] = "1"
	if FromEnv(func(key string) string { return env[key] }).watchdog != 0 {
		t.Error("feeds a watchdog that is not for this process")
	}
}
