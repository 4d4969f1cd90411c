package main

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// maxLogLines bounds what waits for a log that does not take lines: minutes of a
// cluster in trouble, a fraction of a second of debug: on under load.
const maxLogLines = 4096

// lineQueue stands between whoever logs, the member's owner among them, and a
// log that may be stuck: a hung disk, a pipe whose reader stopped, a system log
// that stalls. Who logs never waits. Lines that find no room are dropped, and
// the log says how many, where they are missing.
type lineQueue struct {
	to   io.Writer
	done chan struct{} // closed when all is written and to is closed

	mu      sync.Mutex // guards what follows
	more    *sync.Cond
	lines   []logLine
	dropped int // behind lines
	ended   bool
}

// logLine is a line and the method of the log that takes it.
type logLine struct {
	write func(string) error
	text  string
}

// newLineQueue starts a queue. The end of the queue closes to if it can be
// closed.
func newLineQueue(to io.Writer) *lineQueue {
	q := &lineQueue{to: to, done: make(chan struct{})}
	q.more = sync.NewCond(&q.mu)
	go q.run()
	return q
}

// Write queues text for the log's Write. It never waits.
func (q *lineQueue) Write(text []byte) (int, error) {
	err := q.put(func(s string) error {
		_, err := io.WriteString(q.to, s)
		return err
	}, string(text))
	return len(text), err
}

// put queues a line for a method of the log. It never waits.
func (q *lineQueue) put(write func(string) error, text string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended:
		return os.ErrClosed
	case len(q.lines) >= maxLogLines:
		q.dropped++
		return nil
	}
	q.lines = append(q.lines, logLine{write, text})
	q.more.Signal()
	return nil
}

// end has the queue end when all is written, which done tells.
func (q *lineQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.more.Signal()
}

func (q *lineQueue) run() {
	defer close(q.done)
	for {
		lines, dropped := q.take()
		if len(lines) == 0 {
			break
		}
		for _, l := range lines {
			l.write(l.text) // there is nobody to tell of an error
		}
		if dropped > 0 {
			fmt.Fprintf(q.to, "warning: %d log lines are missing here: this log did not take lines for a while\n", dropped)
		}
	}
	if c, ok := q.to.(io.Closer); ok {
		c.Close()
	}
}

// take waits for lines; none: the queue ended.
func (q *lineQueue) take() (lines []logLine, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.lines) == 0 && !q.ended {
		q.more.Wait()
	}
	lines, dropped = q.lines, q.dropped
	q.lines, q.dropped = nil, 0
	return lines, dropped
}
