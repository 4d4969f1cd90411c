package sim

import (
	"context"
	"errors"
	"os"

	"github.com/moothall/moothall/internal/executive"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/session/local"
	"github.com/moothall/moothall/service"
)

// Programs are real programs of the public packages beside the simulator's own
// clients, in a whole run. They live in goroutines of their own, in a bubble of
// testing/synctest around the run: the simulator hands over what came and waits
// with Settle until all of them wait for more. What several of them ask for at
// once is taken node by node. So a run is repeatable as far as each program is.
type Programs struct {
	// Ready begins a life of a node that serves clients. The session ends with it.
	Ready func(node NodeID, s session.Session)
	// Tick runs every so often, from the first to the last moment of the faults.
	Tick  func(now Tick)
	Every Tick
	// Settle returns when all programs wait: synctest.Wait.
	Settle func()
}

// programs is the session of one life of a node.
type programs struct {
	f     *full
	mail  chan func() // posted by programs, taken when they have settled
	done  chan struct{}
	ready bool
	conns []*local.Conn
}

var (
	_ session.Session = (*programs)(nil)

	errDied = errors.New("sim: the node died")
)

// maxMail bounds what programs of one node can ask for between two moments in
// which they wait.
const maxMail = 1 << 16

func newPrograms(f *full) *programs {
	return &programs{f: f, mail: make(chan func(), maxMail), done: make(chan struct{})}
}

// post is how programs reach their node, and what was pushed to them asks for more.
func (p *programs) post(f func()) {
	select {
	case p.mail <- f:
	case <-p.done:
	}
}

// Open connects a program.
func (p *programs) Open(ctx context.Context, id uint16) (session.Conn, error) {
	opened := make(chan error, 1)
	c := local.New(p.post)
	p.post(func() {
		h, code := p.f.core.Open(id, service.Cred{PID: int32(os.Getpid())}, woken{c, p.f.m.w})
		if code != service.OK {
			opened <- code
			return
		}
		c.Attach(woken{c, p.f.m.w}.handle(h))
		p.conns = append(p.conns, c)
		opened <- nil
	})
	select {
	case err := <-opened:
		if err != nil {
			return nil, err
		}
		return c, nil
	case <-p.done:
		return nil, errDied
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Done is closed when the life ended.
func (p *programs) Done() <-chan struct{} { return p.done }

// Err says so.
func (p *programs) Err() error {
	select {
	case <-p.done:
		return errDied
	default:
		return nil
	}
}

// end ends the session with its node.
func (p *programs) end() {
	close(p.done)
	for _, c := range p.conns {
		c.Closed(errDied)
	}
	p.f.m.w.stirred = true
}

// woken notes that a program has something to do.
type woken struct {
	*local.Conn
	w *world
}

// Push implements executive.Sink.
func (k woken) Push(kind uint16, body []byte) {
	k.w.stirred = true
	k.Conn.Push(kind, body)
}

// Closed implements executive.Sink.
func (k woken) Closed(err error) {
	k.w.stirred = true
	k.Conn.Closed(err)
}

// handle notes answers too.
func (k woken) handle(h *executive.Handle) local.Handle { return answering{h, k.w} }

type answering struct {
	*executive.Handle
	w *world
}

// Call implements local.Handle.
func (a answering) Call(fn uint16, tag uint64, body []byte, reply func(service.Code, []byte)) error {
	return a.Handle.Call(fn, tag, body, func(code service.Code, body []byte) {
		a.w.stirred = true
		reply(code, body)
	})
}

// tick tells programs the time, as long as faults last.
func (w *world) tick() {
	p := w.opt.Programs
	if w.now < w.plan.Heal {
		w.queue.push(event{at: w.now + p.Every, kind: evTick})
	}
	w.stirred = true
	p.Tick(w.now)
}

// serve lets programs act and takes what they ask for, until they ask for
// nothing more.
func (w *world) serve() {
	for again := true; again; {
		if w.stirred {
			w.stirred = false
			w.opt.Programs.Settle()
		}
		again = false
		for _, m := range w.nodes {
			if f, ok := m.proc.(*full); ok && f.programs != nil {
				again = f.programs.take() || again
			}
		}
		again = again || w.stirred
	}
}

// take does what programs of this node asked for; false: nothing. A node that is
// paused, or busy, does it later.
func (p *programs) take() bool {
	f := p.f
	if len(p.mail) == 0 || f.m.paused || f.gone() || f.m.w.now < f.m.busy {
		return false
	}
	for len(p.mail) > 0 && !f.gone() {
		(<-p.mail)()
	}
	f.m.w.stirred = true
	f.flush()
	f.m.run()
	return true
}

// began tells of the node once it serves clients.
func (p *programs) began() {
	if p.ready || p.f.core == nil || !p.f.core.Ready() || p.f.gone() {
		return
	}
	p.ready = true
	p.f.m.w.stirred = true
	p.f.m.w.opt.Programs.Ready(p.f.m.id, p)
}
