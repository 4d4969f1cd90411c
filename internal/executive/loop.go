package executive

import (
	"errors"
	"sync"
	"time"

	"github.com/moothall/moothall/internal/alarm"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/totem"
)

// LoopConfig is what a Loop needs.
type LoopConfig struct {
	Core Config

	// Send sends datagrams in their order; buffers are free when it returns. It is
	// called by the loop's owner.
	Send func([]seal.Datagram)
	// Save stores a record. It returns at once and answers on any goroutine.
	Save func(r store.Record, done func(error))

	// Clock is a monotonic clock, the one that datagrams are stamped with. Nil: the
	// time since NewLoop.
	Clock func() proto.Tick
	// Timer makes the alarm on which the member does what is due. Nil: alarm.Runtime.
	Timer func(f func()) alarm.Alarm
	// Gap is the shortest time without running that is recorded; zero: a tenth of
	// the token timeout.
	Gap proto.Tick
	// Batches bounds each of the two receive queues; zero: 64. A reader of a socket
	// waits while its queue is full, and the kernel's buffer takes what comes.
	Batches int
}

// Batch is datagrams on their way from a socket through the loop.
type Batch struct {
	Datagrams []seal.Datagram
	// Done gives the batch back, by the loop's owner. It must not block.
	Done func(*Batch)
}

// Loop owns a Core in the agent. Its owner is whoever brings work while nobody
// else has it: the goroutine that read a socket, the poller of a door, a timer.
// So what arrives on an idle member is handled where it arrived, without a
// second goroutine to wake. The owner works off what others bring meanwhile,
// and flushes once for all of it; after a few rounds it leaves the rest to a
// goroutine of its own and goes back to its socket. All methods may be called
// from any goroutine.
type Loop struct {
	cfg   LoopConfig
	core  *Core // the owner's
	clock func() proto.Tick
	timer alarm.Alarm // calls due
	done  chan struct{}
	watch watchdog

	mu    sync.Mutex // guards what follows
	room  sync.Cond  // a receive queue has room again, or the loop ended
	in    inbox
	owned bool       // somebody drives
	armed proto.Tick // when timer fires; zero: it does not
	ended bool

	pulls                 []func() // the owner's, see BeforeToken
	spare                 inbox    // the owner's: swapped with in, so that both keep their memory
	moreData, moreControl []*Batch // the owner's: what steal gave out
}

// inbox is what waits for the owner.
type inbox struct {
	data, control []*Batch
	calls         []func(*Core)
	saved         []savedRecord
	refused       []refusedPort
	dropped       int
}

type savedRecord struct {
	tag totem.Tag
	err error
}

type refusedPort struct {
	node NodeID
	link uint8
}

func (i *inbox) empty() bool {
	return len(i.data)+len(i.control)+len(i.calls)+len(i.saved)+len(i.refused)+i.dropped == 0
}

// ErrEnded is returned by what needs a loop that runs.
var ErrEnded = errors.New("executive: the member has stopped")

// NewLoop makes the member and starts its goroutine.
func NewLoop(c LoopConfig) (*Loop, error) {
	l := &Loop{cfg: c, clock: c.Clock, done: make(chan struct{}), owned: true}
	l.room.L = &l.mu
	if l.cfg.Batches == 0 {
		l.cfg.Batches = 64
	}
	if l.clock == nil {
		start := time.Now()
		l.clock = func() proto.Tick { return proto.Tick(time.Since(start)) }
	}
	if l.cfg.Timer == nil {
		l.cfg.Timer = alarm.Runtime
	}
	l.timer = l.cfg.Timer(l.due)
	var err error
	if l.core, err = New(l.clock(), c.Core, (*loopEnv)(l)); err != nil {
		l.timer.Stop()
		return nil, err
	}
	if l.cfg.Gap == 0 {
		l.cfg.Gap = l.core.engine.Status().TokenTimeout / 10
	}
	l.watch.limit = l.cfg.Gap
	l.core.gaps = l.watch.gaps
	go l.drive(unlimited)
	return l, nil
}

// loopEnv is the Loop as its Core sees it.
type loopEnv Loop

func (e *loopEnv) Send(d []seal.Datagram) { e.cfg.Send(d) }

func (e *loopEnv) Save(tag totem.Tag, r store.Record) {
	l := (*Loop)(e)
	e.cfg.Save(r, func(err error) {
		l.mu.Lock()
		l.in.saved = append(l.in.saved, savedRecord{tag, err})
		l.bring(false)
	})
}

// bring follows a change of the inbox and gives the lock back. If nobody owns
// the core, this goroutine drives, or one that is started for it.
func (l *Loop) bring(here bool) {
	if l.owned || l.ended {
		l.mu.Unlock()
		return
	}
	l.owned = true
	l.mu.Unlock()
	if here {
		l.drive(fewRounds)
	} else {
		go l.drive(unlimited)
	}
}

// Receive hands over what a socket received, and may run the member on this
// goroutine, which must hold no lock. It waits while the queue is full; false:
// the loop ended and the batch is still the caller's.
func (l *Loop) Receive(control bool, b *Batch) bool {
	l.mu.Lock()
	q := &l.in.data
	if control {
		q = &l.in.control
	}
	for len(*q) >= l.cfg.Batches && !l.ended {
		l.room.Wait()
	}
	if l.ended {
		l.mu.Unlock()
		return false
	}
	*q = append(*q, b)
	l.bring(true)
	return true
}

// Unreachable says that the kernel reported a refused port.
func (l *Loop) Unreachable(node NodeID, link uint8) {
	l.mu.Lock()
	if len(l.in.refused) < l.cfg.Batches {
		l.in.refused = append(l.in.refused, refusedPort{node, link})
	}
	l.bring(false)
}

// Dropped says that the kernel threw received packets away.
func (l *Loop) Dropped(packets int) {
	l.mu.Lock()
	l.in.dropped += packets
	l.bring(false)
}

// Do runs f as the owner, behind everything that was given to Do and Run before,
// and returns at once. False: the loop ended, f will not run.
func (l *Loop) Do(f func(*Core)) bool { return l.call(f, false) }

// Run is Do for a caller that holds no lock: the member may run on its
// goroutine, f included.
func (l *Loop) Run(f func(*Core)) bool { return l.call(f, true) }

// BeforeToken has the owner run f, too, before it handles a token, so that what
// local clients sent until then goes out with it. No clients' calls are served in f
// after a pause of the process.
func (l *Loop) BeforeToken(f func()) { l.Do(func(*Core) { l.pulls = append(l.pulls, f) }) }

func (l *Loop) call(f func(*Core), here bool) bool {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return false
	}
	l.in.calls = append(l.in.calls, f)
	l.bring(here)
	return true
}

// Status asks the owner how things are; an error if the loop ended.
func (l *Loop) Status() (Status, error) {
	answer := make(chan Status, 1)
	if !l.Do(func(c *Core) { answer <- c.Status() }) {
		return Status{}, ErrEnded
	}
	select {
	case s := <-answer:
		s.Gaps = l.watch.gaps()
		return s, nil
	case <-l.done:
		return Status{}, ErrEnded
	}
}

// Gaps says how long the member was kept from running so far.
func (l *Loop) Gaps() Gaps { return l.watch.gaps() }

// Leave starts a clean stop; Done tells when it is over.
func (l *Loop) Leave() {
	l.Do(func(c *Core) { c.Leave(c.now) })
}

// Halt ends the member without a word to the others, and waits for it.
func (l *Loop) Halt() {
	l.Do(func(c *Core) { c.Halt(c.now) })
	<-l.done
}

// Done is closed when the member came to its end.
func (l *Loop) Done() <-chan struct{} { return l.done }

// Reason says why the member came to its end; zero while it runs.
func (l *Loop) Reason() totem.StopReason {
	select {
	case <-l.done:
		return l.core.Stopped()
	default:
		return totem.Running
	}
}

const (
	fewRounds = 4       // for a goroutine that has a socket to read
	unlimited = 1 << 30 // for one that has nothing else to do
)

// drive is the owner at work: a round for all that came, until nothing is left
// to do now. After that many rounds another goroutine goes on.
func (l *Loop) drive(rounds int) {
	for ; ; rounds-- {
		if rounds == 0 {
			go l.drive(unlimited)
			return
		}
		now := l.clock()
		l.work(now)
		if w := l.core.Wake(); w != 0 && w <= now {
			l.core.Advance(now)
		}
		l.core.Flush(now)
		end := l.clock()
		l.watch.note(end, end-now, true)
		if l.core.Stopped() != totem.Running {
			l.end()
			return
		}
		if l.rest() {
			return
		}
	}
}

// rest gives the core up if nothing is left to do now, and sees to it that the
// timer fires by the time that something is due. A timer that is set for an
// earlier time stays: it costs less to be woken in vain now and then than to set
// it with each token.
func (l *Loop) rest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.in.empty() {
		return false
	}
	if w := l.core.Wake(); w != 0 {
		d := w - l.clock()
		if d <= 0 {
			return false
		}
		if l.armed == 0 || w < l.armed {
			l.armed = w
			l.timer.Set(time.Duration(d))
		}
	}
	l.owned = false
	return true
}

// due is what the timer calls: its goroutine becomes the owner if there is none. An owner
// looks at the time by itself before it rests.
func (l *Loop) due() {
	now := l.clock()
	l.mu.Lock()
	late := now - l.armed
	if l.armed == 0 {
		late = 0 // set anew and fired already
	}
	l.armed = 0
	l.watch.note(now, late, false)
	if l.owned || l.ended {
		l.mu.Unlock()
		return
	}
	l.owned = true
	l.mu.Unlock()
	l.drive(unlimited)
}

// work takes the inbox.
func (l *Loop) work(now proto.Tick) {
	l.mu.Lock()
	if l.in.empty() {
		l.mu.Unlock()
		return
	}
	l.in, l.spare = l.spare, l.in
	l.mu.Unlock()
	l.room.Broadcast()
	in := &l.spare

	if in.dropped > 0 {
		l.core.Dropped(now, in.dropped)
	}
	l.receive(now, in)
	// After a pause of the process clients must hear that what they were shown is
	// stale before any of their calls is served (ordering 2.19 H1).
	if w := l.core.Wake(); w != 0 && w <= now {
		l.core.Advance(now)
		l.core.Flush(now)
	}
	for _, s := range in.saved {
		l.core.Persisted(now, s.tag, s.err)
	}
	for _, r := range in.refused {
		l.core.Unreachable(now, r.node, r.link)
	}
	if len(in.calls) > 0 {
		l.core.tick(now)
		for _, f := range in.calls {
			f(l.core)
		}
	}
	in.reset()
}

// maxDrains bounds how often the data queue is looked at before a token that
// waits is handled.
const maxDrains = 4

// receive takes what sockets received, in the order that the engine asks for:
// data before a token, so that the token finds everything that was sent before
// it, until the engine has seen that nothing of that is missing; then the token
// (ordering 2.8 A5).
func (l *Loop) receive(now proto.Tick, in *inbox) {
	data, control := in.data, in.control
	for drains := 0; ; drains++ {
		for _, b := range data {
			if l.core.TokenFirst() {
				l.tokens(now, control)
				l.tokens(now, l.steal(&l.in.control, &l.moreControl))
				control = nil
			}
			l.core.Datagrams(now, b.Datagrams)
			b.Done(b)
		}
		if len(control) == 0 || drains == maxDrains || l.core.TokenFirst() {
			break
		}
		if data = l.steal(&l.in.data, &l.moreData); len(data) == 0 {
			break
		}
	}
	l.tokens(now, control)
}

// tokens handles batches that may hold a token.
func (l *Loop) tokens(now proto.Tick, list []*Batch) {
	if w := l.core.Wake(); len(list) > 0 && len(l.pulls) > 0 && (w == 0 || w > now) {
		l.core.tick(now)
		for _, f := range l.pulls {
			f()
		}
	}
	l.datagrams(now, list)
}

// steal takes what came into a queue while the owner works; the list is valid
// until the next call for the same queue.
func (l *Loop) steal(q, spare *[]*Batch) []*Batch {
	clear(*spare)
	l.mu.Lock()
	*q, *spare = (*spare)[:0], *q
	l.mu.Unlock()
	if len(*spare) > 0 {
		l.room.Broadcast()
	}
	return *spare
}

func (l *Loop) datagrams(now proto.Tick, list []*Batch) {
	for _, b := range list {
		l.core.Datagrams(now, b.Datagrams)
		b.Done(b)
	}
}

// reset empties the inbox and keeps its memory.
func (i *inbox) reset() {
	clear(i.data)
	clear(i.control)
	clear(i.calls)
	i.data, i.control, i.calls = i.data[:0], i.control[:0], i.calls[:0]
	i.saved, i.refused, i.dropped = i.saved[:0], i.refused[:0], 0
}

// end lets waiting readers go. What was given to Do and did not run is gone;
// who waits for it waits for Done too.
func (l *Loop) end() {
	l.mu.Lock()
	l.ended = true
	l.in = inbox{}
	l.timer.Stop()
	l.mu.Unlock()
	l.room.Broadcast()
	close(l.done)
}

// watchdog notes when this process, or the owner in it, did not run for a while:
// the usual cause of a lost token that no network explains. It needs no
// goroutine: a timer that fires late tells of the process, a long round of the
// owner.
type watchdog struct {
	limit proto.Tick

	mu     sync.Mutex // guards what follows
	max    proto.Tick
	count  uint64
	recent []Gap // bounded by maxGaps
}

const maxGaps = 64

// Gaps says how long the member was kept from running.
type Gaps struct {
	Max    proto.Tick `json:"max"`
	Count  uint64     `json:"count"`
	Recent []Gap      `json:"recent,omitempty"` // oldest first
}

// Gap is one stretch of time without running.
type Gap struct {
	At    proto.Tick `json:"at"` // its end
	Dur   proto.Tick `json:"dur"`
	Owner bool       `json:"owner"` // the process ran, but the owner was busy with one round
}

// note records a stretch of time without running that ended now, if it is long
// enough.
func (w *watchdog) note(now, dur proto.Tick, owner bool) {
	if dur < w.limit {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	w.max = max(w.max, dur)
	if len(w.recent) == maxGaps {
		w.recent = append(w.recent[:0], w.recent[1:]...)
	}
	w.recent = append(w.recent, Gap{At: now, Dur: dur, Owner: owner})
}

func (w *watchdog) gaps() Gaps {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Gaps{Max: w.max, Count: w.count, Recent: append([]Gap(nil), w.recent...)}
}
