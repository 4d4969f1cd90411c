package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
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
