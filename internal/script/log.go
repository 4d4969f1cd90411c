package script

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"
)

// Log is a file to which each run adds one entry. When it has grown large it gives
// way to a new one and stays for a while with ".1" at its name.
type Log struct {
	path string
	mu   sync.Mutex // guards the file
	err  error      // of the last entry
}

// Bounds of what scripts can fill the disk with.
const (
	maxOutput = 64 << 10 // of one run
	maxLog    = 1 << 20
)

// NewLog makes a log of a file, which appears with the first entry.
func NewLog(path string) *Log { return &Log{path: path} }

// Err is what kept the last entry from being written.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// add writes the entry of one run.
func (l *Log) add(began time.Time, j *Job, r *Result, out *output) {
	how := "done"
	if r.Err != nil {
		how = r.Err.Error()
	}
	b := fmt.Appendf(nil, "%s %s: %s: %s, after %v\n", began.UTC().Format(time.RFC3339), j.About, j.Path, how, r.Took.Round(time.Millisecond))
	b = append(b, out.bytes()...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = l.write(b)
}

func (l *Log) write(b []byte) error {
	if st, err := os.Stat(l.path); err == nil && st.Size() > maxLog {
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// output is what a script printed, up to its bound. Nothing of a script's is held
// up by it.
type output struct {
	mu   sync.Mutex // what a script left behind may still print
	buf  bytes.Buffer
	lost int
}

// Write keeps what there is room for.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := b[:min(len(b), maxOutput-o.buf.Len())]
	o.buf.Write(kept)
	o.lost += len(b) - len(kept)
	return len(b), nil
}

// bytes are whole lines, indented.
func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	var b []byte
	for line := range bytes.Lines(o.buf.Bytes()) {
		b = append(append(append(b, '\t'), bytes.TrimSuffix(line, []byte("\n"))...), '\n')
	}
	if o.lost > 0 {
		b = fmt.Appendf(b, "\t(%d more bytes were printed)\n", o.lost)
	}
	return b
}
