package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/internal/testenv"
)

// What happens to whoever reads the log is no reason to leave the cluster.
func TestAgentOutlivesReaderOfItsLog(t *testing.T) {
	h := newHall(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	read.Close()
	anna := h.agents[0]
	anna.startLoggingTo(write)
	h.agents[1].start()
	h.formed(1, 2)
	anna.process.Signal(syscall.SIGTERM)
	if code := anna.process.Wait(patience); code != exitOK {
		t.Errorf("exit status %d", code)
	}
}

// fullPipe is the way to a reader that does not read.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { errors.Join(read.Close(), write.Close()) })
	raw, err := write.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		for err == nil {
			_, err = unix.Write(int(fd), []byte{'x'})
		}
	})
	if err != unix.EAGAIN {
		t.Fatal(err)
	}
	return write
}

// A log that takes no lines keeps no member from its ring, nor from its end.
func TestAgentWhoseLogIsStuck(t *testing.T) {
	h := newHall(t)
	anna := h.agents[0]
	anna.startLoggingTo(fullPipe(t))
	h.agents[1].start()
	h.agents[2].start()
	h.formed(1, 2, 3)
	anna.process.Signal(syscall.SIGTERM)
	if code := anna.process.Wait(patience); code != exitOK {
		t.Errorf("exit status %d", code)
	}
}

// stuckLog takes no lines until it is released.
type stuckLog struct {
	text     strings.Builder
	released chan struct{}
	closed   bool
}

func (s *stuckLog) Write(b []byte) (int, error) {
	<-s.released
	return s.text.Write(b)
}

func (s *stuckLog) Close() error {
	s.closed = true
	return nil
}

func TestLineQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &stuckLog{released: make(chan struct{})}
		q := newLineQueue(log)
		io.WriteString(q, "first\n")
		synctest.Wait() // it is being written
		var want strings.Builder
		want.WriteString("first\n")
		for i := range maxLogLines + 7 {
			line := fmt.Sprintf("line %d\n", i)
			if i < maxLogLines {
				want.WriteString(line)
			}
			io.WriteString(q, line)
		}
		close(log.released)
		synctest.Wait()
		io.WriteString(q, "last\n")
		q.end()
		<-q.done
		want.WriteString("warning: 7 log lines are missing here: this log did not take lines for a while\nlast\n")
		if log.text.String() != want.String() {
			t.Errorf("it ends with %q", log.text.String()[max(0, log.text.Len()-200):])
		}
		if _, err := io.WriteString(q, "after the end"); !errors.Is(err, os.ErrClosed) || !log.closed {
			t.Errorf("after the end: %v, closed %v", err, log.closed)
		}
	})
}

// The end of the agent waits for the last lines, but not for ever.
func TestLogsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &stuckLog{released: make(chan struct{})}
		l := newLogs(log)
		l.now = &destination{queues: []*lineQueue{newLineQueue(log)}}
		l.now.queues[0].Write([]byte("line"))
		l.close()
		if log.text.Len() != 0 {
			t.Error("written by a log that is stuck")
		}
		close(log.released)
		synctest.Wait()
		if log.text.String() != "line" {
			t.Errorf("%q", log.text.String())
		}
	})
}

// A log of the system that nobody serves is no reason to say nothing.
func TestLogsWithoutSyslog(t *testing.T) {
	var stderr lockedBuilder
	l := newLogs(&stderr)
	if err := l.start(config.Logging{ToSyslog: true}); err != nil {
		t.Fatal(err)
	}
	if l.now.note == "" {
		t.Skip("a system log answers here")
	}
	slog.New(l.handler()).Info("the first line")
	l.close()
	for _, want := range []string{"warning: The system's log does not answer", "standard error instead", "the first line"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q is not in %q", want, stderr.String())
		}
	}
}

// Whoever changes the log does not wait for the disk, and a change that fails
// leaves the log as it was.
func TestLogsChangeSoon(t *testing.T) {
	dir := t.TempDir()
	hangs, file := filepath.Join(dir, "hangs"), filepath.Join(dir, "file")
	if err := unix.Mkfifo(hangs, 0o600); err != nil { // to open it for writing waits for a reader
		t.Fatal(err)
	}
	var stderr lockedBuilder
	l := newLogs(&stderr)
	if err := l.start(config.Logging{ToStderr: true}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(l.handler())
	l.Configure(config.Logging{ToFile: true, File: hangs})
	testenv.Eventually(t, patience, "the file that hangs is being opened", func() (bool, any) {
		l.mu.RLock()
		defer l.mu.RUnlock()
		return l.next == nil, nil
	})
	l.Configure(config.Logging{ToFile: true, File: filepath.Join(dir, "no", "file")})
	log.Info("still the old")
	reader, err := os.OpenFile(hangs, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	l.Configure(config.Logging{ToFile: true, File: file})
	testenv.Eventually(t, patience, "a line in the file", func() (bool, any) {
		log.Info("the new")
		b, _ := os.ReadFile(file)
		return strings.Contains(string(b), "the new"), stderr.String()
	})
	l.close()
	if !strings.Contains(stderr.String(), "still the old") {
		t.Errorf("standard error has %q", stderr.String())
	}
}

// lockedBuilder is a strings.Builder for several goroutines.
type lockedBuilder struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
