package tracefile

import (
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/sim/check"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// Recorder writes the trace of one member. Its Observer and Close belong to the
// member's owner, one at a time.
type Recorder struct {
	node NodeID
	file *os.File
	log  *slog.Logger

	buf     []byte
	started bool
	bound   uint64 // of the record that is stored
	saving  uint64 // of the one that is being stored
	engine  RingID // the engine is in
	member  RingID // the rest of the member is in
	failed  bool
}

// maxBuffer is how much waits for the next write at most.
const maxBuffer = 64 << 10

// Create opens a trace for appending. When it cannot be written any more, the
// recorder says so once in the log and drops what comes then: a full disk ends
// the trace, not the member.
func Create(name string, node NodeID, log *slog.Logger) (*Recorder, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	r := &Recorder{node: node, file: f, log: log}
	if err := r.endLine(); err != nil {
		f.Close()
		return nil, fmt.Errorf("trace: %w", err)
	}
	return r, nil
}

// endLine ends the line that a killed process left half written.
func (r *Recorder) endLine() error {
	size, err := r.file.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	var last [1]byte
	if _, err := r.file.ReadAt(last[:], size-1); err != nil {
		return err
	}
	if last[0] != '\n' {
		r.buf = append(r.buf, '\n')
	}
	return nil
}

// Close writes what waits.
func (r *Recorder) Close() error {
	r.flush()
	return r.file.Close()
}

// Observer is what a member is to be given that starts with a record of that
// bound; for events of the engine its configuration needs Trace.
func (r *Recorder) Observer(bound uint64) executive.Observer {
	r.bound = bound
	return executive.Observer{
		Start: r.start,
		Submit: func(_ proto.Tick, k uint64, class totem.Class, safe bool, body []byte) {
			r.add(&check.Event{Kind: check.KindSubmit, K: k, Class: uint8(class), Safe: safe, Size: len(body), Hash: sum(body)})
		},
		Taken: func(_ proto.Tick, events []totem.Event) {
			for _, e := range events {
				r.taken(e)
			}
			r.flush()
		},
		Configuration: func(_ proto.Tick, c *totem.Configuration) {
			if c.Kind == totem.Regular {
				r.member = c.Ring
			}
		},
		Service: func(_ proto.Tick, s executive.ServiceStep) {
			r.step(&check.Event{Kind: StepKind(s.Step), Ring: s.Ring, Round: s.Round, Service: s.Service})
		},
		Round: func(n resync.Note) {
			if n.Kind == resync.NoteReady {
				r.step(&check.Event{Kind: check.KindSynced, Ring: n.Ring, Round: n.Round})
			}
		},
		QuorumShown: func(_ proto.Tick, s service.QuorumState) {
			r.step(QuorumEvent(s))
		},
		PersistStart: func(_ proto.Tick, _ totem.Tag, s store.Record) { r.saving = s.SeqBound },
		PersistDone: func(_ proto.Tick, _ totem.Tag, err error) {
			if err == nil {
				r.bound = r.saving
				r.add(&check.Event{Kind: check.KindPersist, Bound: r.bound})
			}
		},
		Trace: r.inside,
		Stop: func(proto.Tick, totem.StopReason) {
			r.add(&check.Event{Kind: check.KindStop})
			r.flush()
		},
	}
}

// start begins a life; in one process a second one ends the first.
func (r *Recorder) start(_ proto.Tick, inc uint64) {
	if r.started {
		r.add(&check.Event{Kind: check.KindStop})
	}
	r.started = true
	r.add(&check.Event{Kind: check.KindStart, Inc: inc, Bound: r.bound})
	r.flush()
}

func (r *Recorder) taken(e totem.Event) {
	switch e := e.(type) {
	case *totem.Delivery:
		r.add(&check.Event{Kind: check.KindDeliver, Ring: e.Ring, Slot: e.Slot, From: e.From, FromInc: e.Inc,
			K: e.K, Class: uint8(e.Class), Safe: e.Safe, Size: len(e.Body), Hash: sum(e.Body)})
	case *totem.Configuration:
		if e.Kind == totem.Regular {
			r.engine = e.Ring
		}
		r.add(&check.Event{Kind: check.KindConf, Transitional: e.Kind == totem.Transitional, Ring: e.Ring,
			Prev: e.Prev, Members: e.Members, Incs: e.Incs, Trans: e.Trans, Text: e.Reason.String()})
	}
}

// StepKind is a step of a round in the words of the checker.
func StepKind(s executive.Step) check.Kind {
	return [...]check.Kind{executive.StepInit: check.KindInit, executive.StepProcessed: check.KindProcessed,
		executive.StepActivate: check.KindActivate, executive.StepAbort: check.KindAbort}[s]
}

// QuorumEvent is a decision in the words of the checker.
func QuorumEvent(s service.QuorumState) *check.Event {
	return &check.Event{Kind: check.KindQuorum, Ring: s.Ring, Quorate: s.Quorate, Expected: s.Expected, Votes: s.Votes, Device: s.Device,
		Needed: s.Needed, Text: s.Row}
}

// step writes what the rest of the member does with the engine's events. It comes
// later than they do: where the engine has gone on to another ring in the same
// turn, the step's place would be before that, which is written already. Nothing
// that follows from such a late one can have left in the old ring.
func (r *Recorder) step(e *check.Event) {
	e.Late = e.Ring == r.member && e.Ring != r.engine
	r.add(e)
}

// inside writes what the engine says of its inside.
func (r *Recorder) inside(t *totem.TraceEvent) {
	switch t.Kind {
	case totem.TraceOrig:
		r.add(&check.Event{Kind: check.KindOrig, Ring: t.Ring, Slot: t.Slot, K: t.K, No: t.No, Last: t.Last, Class: uint8(t.Class)})
	case totem.TraceHeld:
		r.add(&check.Event{Kind: check.KindHeld, Ring: t.Ring, Slot: t.Slot, Hash: t.Hash})
	case totem.TraceStable:
		r.add(&check.Event{Kind: check.KindStable, Ring: t.Ring, Slot: t.Slot})
	case totem.TraceState:
		if t.To == totem.Recovery {
			r.add(&check.Event{Kind: check.KindRecovery, Ring: t.Ring})
		}
		r.line(&Line{Text: fmt.Sprintf("%v -> %v because of %v, node %d, ring %v", t.From, t.To, t.Reason, t.Node, t.Ring)})
	case totem.TraceFail, totem.TraceSuspect:
		r.line(&Line{Text: fmt.Sprintf("node %d is doubted because of %v", t.Node, t.Reason)})
	}
}

func (r *Recorder) add(e *check.Event) { r.line(&Line{Event: e}) }

// line stamps a line and keeps it for the next write.
func (r *Recorder) line(l *Line) {
	if r.failed {
		return
	}
	l.At, l.Node = Now(), r.node
	r.buf = append(l.AppendJSON(r.buf), '\n')
	if len(r.buf) >= maxBuffer {
		r.flush()
	}
}

// flush hands what waits to the kernel, from where a kill does not take it back.
func (r *Recorder) flush() {
	if r.failed || len(r.buf) == 0 {
		return
	}
	if _, err := r.file.Write(r.buf); err != nil {
		r.failed = true
		r.log.Error("The trace ends here: it cannot be written", "file", r.file.Name(), "err", err)
	}
	r.buf = r.buf[:0]
}

// Now is the machine's monotonic clock.
func Now() Tick {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail for this clock
	return Tick(t.Nano())
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum tells messages apart.
func sum(b []byte) uint64 { return uint64(crc32.Update(uint32(len(b)), castagnoli, b)) }
