package supervise

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/testenv"
)

const patience = 60 * time.Second

type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func keep(t *testing.T, c Config) (*Keeper, *log) {
	t.Helper()
	out := &log{}
	c.Log = slog.New(slog.NewTextHandler(out, nil))
	if c.Started == nil {
		c.Started = func(_ int32, socket int) { _ = unix.Close(socket) }
	}
	k := Start(c)
	t.Cleanup(k.Close)
	return k, out
}

func TestKeeper_StartsAgain(t *testing.T) {
	_, out := keep(t, Config{Command: []string{"/bin/sh", "-c", "echo out; echo err >&2; exit 3"}, Min: time.Millisecond, Max: 4 * time.Millisecond})
	testenv.Eventually(t, patience, "four runs", func() (bool, any) {
		s := out.String()
		return strings.Count(s, "says: out") >= 4 && strings.Contains(s, "says: err") && strings.Contains(s, "exit status 3") && strings.Contains(s, "in=4ms"), s
	})
}

// A command that cannot be started is told of as one that ended.
func TestKeeper_Status(t *testing.T) {
	ended := make(chan Status, 8)
	k, _ := keep(t, Config{Command: []string{"/nowhere/program"}, Min: time.Millisecond, Max: time.Hour, Ended: func(st Status) {
		select {
		case ended <- st:
		default:
		}
	}})
	for i := range 3 {
		st := <-ended
		if st.PID != 0 || st.Ended != uint64(i+1) || !strings.Contains(st.Last, "no such file") || st.Why != "" || st.Next.Sub(st.Since) != time.Millisecond<<i {
			t.Errorf("%d: %+v", i, st)
		}
	}
	if st := k.Status(); st.Ended < 3 {
		t.Errorf("%+v", st)
	}
}

// The process has its end of the socket as descriptor 3.
func TestKeeper_Socket(t *testing.T) {
	got := make(chan string, 1)
	k, _ := keep(t, Config{Command: []string{"/bin/sh", "-c", "echo hello >&3; exec sleep 60"}, Started: func(_ int32, socket int) {
		go func() {
			defer unix.Close(socket)
			fds := []unix.PollFd{{Fd: int32(socket), Events: unix.POLLIN}}
			_, _ = unix.Poll(fds, int(patience.Milliseconds()))
			b := make([]byte, 16)
			n, _ := unix.Read(socket, b)
			got <- string(b[:max(n, 0)])
		}()
	}})
	if s := <-got; s != "hello\n" {
		t.Errorf("%q", s)
	}
	k.Kill(1, "not this one")
	pid := k.Status().PID
	k.Kill(pid, "it was in the way")
	testenv.Eventually(t, patience, "another process", func() (bool, any) {
		st := k.Status()
		return st.PID != 0 && st.PID != pid, st
	})
	if st := k.Status(); st.Ended != 1 || st.Last != "signal: killed" || st.Why != "it was in the way" || !st.Next.IsZero() {
		t.Errorf("%+v", st)
	}
	<-got
}

func TestKeeper_CloseKillsInTheEnd(t *testing.T) {
	k, out := keep(t, Config{Command: []string{"/bin/sh", "-c", `trap "" TERM; echo ready; while :; do sleep 1; done`}, Patience: 10 * time.Millisecond})
	testenv.Eventually(t, patience, "the process", func() (bool, any) { return strings.Contains(out.String(), "ready"), out.String() })
	k.Close()
	if st := k.Status(); st.PID != 0 {
		t.Errorf("%+v", st)
	}
}

func TestLines(t *testing.T) {
	out := &log{}
	l := &lines{log: slog.New(slog.NewTextHandler(out, nil))}
	for _, s := range []string{"a", "b\nc\r\n\n", strings.Repeat("x", maxLine+10), "\nend"} {
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	l.flush()
	for _, want := range []string{"says: ab\"", "says: c\"", "says: " + strings.Repeat("x", maxLine) + `"`, "says: xxxxxxxxxx\"", "says: end\""} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %.40q in %s", want, out)
		}
	}
}
