package tracefile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/moothall/moothall/internal/sim/check"
)

// RecordTampered is the note by which whoever runs a node says that its next
// start will not find the ring record that the last one left: the order of ring
// numbers is waived then (ordering 2.2).
const RecordTampered = "record tampered with"

// Merge reads the traces of one machine's nodes and hands all lines over in the
// order of their stamps. The line that a killed process did not finish is left
// out; any other that cannot be read ends the merge.
func Merge(files []string, each func(*Line) error) (err error) {
	var sources []*source
	defer func() {
		for _, s := range sources {
			err = errors.Join(err, s.file.Close())
		}
	}()
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		s := &source{name: name, file: f, r: bufio.NewReaderSize(f, MaxLine)}
		sources = append(sources, s)
		if err := s.advance(); err != nil {
			return err
		}
	}
	for {
		var first *source
		for _, s := range sources {
			if s.line != nil && (first == nil || s.line.At < first.line.At) {
				first = s
			}
		}
		if first == nil {
			return nil
		}
		if err := each(first.line); err != nil {
			return err
		}
		if err := first.advance(); err != nil {
			return err
		}
	}
}

// source is one file that is being merged.
type source struct {
	name string
	file *os.File
	r    *bufio.Reader
	no   int
	line *Line // nil: the end
}

// advance goes on to the next line.
func (s *source) advance() error {
	var torn error
	for {
		b, err := s.r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("%s:%d: the line is too long", s.name, s.no+1)
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case err != nil: // a last line without its end is one that was not finished
			s.line = nil
			return nil
		}
		s.no++
		if b = bytes.TrimSpace(b); len(b) == 0 {
			continue
		}
		l, err := Parse(b)
		if err != nil {
			if torn != nil {
				return torn
			}
			torn = fmt.Errorf("%s:%d: %w", s.name, s.no, err)
			continue
		}
		if torn != nil && (l.Event == nil || l.Event.Kind != check.KindStart) {
			return torn
		}
		if s.line != nil && l.At < s.line.At {
			return fmt.Errorf("%s:%d: its stamp is before that of the line before", s.name, s.no)
		}
		s.line = l
		return nil
	}
}

// Totals count what a trace contains.
type Totals struct {
	Lines     int
	Lives     int
	Rings     int // that somebody installed
	Submitted int
	Safe      int // of them
	Delivered int
}

// Judge feeds merged lines to the checker.
type Judge struct {
	check  *check.Checker
	last   Tick
	totals Totals
	nodes  map[NodeID]*judged
}

// judged is one node in the eyes of a Judge.
type judged struct {
	life      check.Life // zero: none
	alive     bool
	tampered  bool
	installed uint64 // highest ring
}

// NewJudge returns a Judge of one trace.
func NewJudge(o check.Options) *Judge {
	return &Judge{check: check.New(o), nodes: map[NodeID]*judged{}}
}

// Add takes the next line.
func (j *Judge) Add(l *Line) error {
	j.totals.Lines++
	j.last = max(j.last, l.At)
	n := j.nodes[l.Node]
	if n == nil {
		n = new(judged)
		j.nodes[l.Node] = n
	}
	if l.Event == nil {
		n.tampered = n.tampered || l.Text == RecordTampered
		return nil
	}
	e := l.Event
	e.At = l.At
	switch e.Kind {
	case check.KindStart:
		j.end(n, l.At)
		j.totals.Lives++
		n.life, n.alive = check.Life(j.totals.Lives), true
		e.Node, e.Waived = l.Node, n.tampered && e.Bound < n.installed
		n.tampered = e.Waived
	case check.KindCrash:
		j.end(n, l.At)
		return nil
	case check.KindStop:
		n.alive = false
	case check.KindSubmit:
		j.totals.Submitted++
		if e.Safe {
			j.totals.Safe++
		}
	case check.KindDeliver:
		j.totals.Delivered++
	case check.KindConf:
		if !e.Transitional {
			n.installed = max(n.installed, e.Ring.Seq)
		}
	}
	if n.life == 0 && e.Kind != check.KindPhase {
		return fmt.Errorf("trace: %v of node %d before its start", e.Kind, l.Node)
	}
	e.Life = n.life
	j.check.Add(e)
	return nil
}

// end has a life crash that nobody saw the end of.
func (j *Judge) end(n *judged, at Tick) {
	if n.alive {
		n.alive = false
		j.check.Add(&check.Event{At: at, Kind: check.KindCrash, Life: n.life})
	}
}

// End judges the whole trace; drained as in check.Checker.End.
func (j *Judge) End(drained bool) (Totals, []check.Finding) {
	j.check.End(j.last, drained)
	j.totals.Rings = j.check.Rings()
	return j.totals, j.check.Findings()
}
