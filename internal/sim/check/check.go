package check

import (
	"fmt"
	"slices"
)

// Options tell a Checker what cannot be seen in the events.
type Options struct {
	// FirstSlot is the slot below the first one of each ring.
	FirstSlot Slot
	// Max ends checking after that many findings; zero means 1, for what follows
	// the first violation is mostly its consequence.
	Max int
	// Votes are those that the nodes are configured with, and Device those of a
	// quorum device. Nil: the most that were ever expected count as all.
	Votes  map[NodeID]uint32
	Device uint32
	// Lowered: the configuration, an operator or last_man_standing says that fewer
	// votes than those are expected.
	Lowered bool
	// Steps: nodes come and go, in steps that never give two sides quorum. Votes is
	// nil then.
	Steps bool
	// WaitForAll: all nodes have the option on, and no operator ends the wait.
	WaitForAll bool
}

// Finding is one violation.
type Finding struct {
	Property string // id of ordering 1.3
	At       Tick
	Life     Life // whose event showed it, zero at the end of the trace
	Text     string
}

// String is the finding as a sentence.
func (f Finding) String() string { return fmt.Sprintf("%s at %v: %s", f.Property, f.At, f.Text) }

// A Checker judges one trace.
type Checker struct {
	opt      Options
	findings []Finding
	now      Tick
	cur      Life

	lives  []*life // index is Life-1
	nodes  map[NodeID]*node
	byInc  map[incKey][]*life
	msgs   map[msgKey]*message
	rings  map[RingID]*ring
	order  []*ring // in order of first mention
	moves  map[moveKey]*move
	moveOf []*move // in order of first mention
	quorum quorumState
	twins  bool // two lives of one node carry one incarnation
}

type incKey struct {
	node NodeID
	inc  uint64
}

type msgKey struct {
	by Life
	k  uint64
}

type moveKey struct{ from, to *ring }

// ended tells how a life ended.
type ended uint8

const (
	alive ended = iota
	crashed
	stopped
)

// life is one start of a node.
type life struct {
	id     Life
	node   NodeID
	inc    uint64
	waived bool
	end    ended
	bound  uint64 // durable

	stay    *stay // in the ring of the last regular configuration
	trans   *move // set between a transitional configuration and the regular one after it
	classes [numClasses]classLog
	open    []*message        // submitted, own delivery outstanding
	heard   map[Life]*hearing // by sender
	recover map[RingID]bool   // rings it was in recovery for
	begun   []share           // of services, neither activated nor aborted
	begins  bool              // its trace tells what it begins
	active  share             // the newest activation
	quorate bool              // what it showed last
	knows   uint64            // highest ring seq that it said it knows of
	holds   []*holding        // by ring, the newest last
}

const numClasses = 4

// classLog is what one life submitted in one class, in order.
type classLog struct {
	sent  []*message
	piece *message // half originated
	next  uint64   // number of the piece that comes next
	slot  Slot     // of the piece before
	ring  *ring
}

// hearing is how far a life is in the messages of one sender.
type hearing struct{ next [numClasses]int }

// holding is what one life has of the slots of one ring.
type holding struct {
	ring *ring
	bits []uint64 // from ring.base on
	aru  Slot     // all up to it
}

// node collects what must hold over all lives of a node.
type node struct {
	maxSeq    uint64
	installed map[RingID]Life
}

// message is one submitted message.
type message struct {
	by    *life
	k     uint64
	class uint8
	safe  bool
	size  int
	hash  uint64
	index int // in its class log

	heardRing *stay // where its sender was at the submit
	heardPos  int   // how much of that ring its sender had delivered then

	ring *ring // where its last piece went
	slot Slot
	pos  int // in ring.sent
}

func (m *message) String() string {
	safe := "agreed"
	if m.safe {
		safe = "safe"
	}
	return fmt.Sprintf("%s message %d of node %d", safe, m.k, m.by.node)
}

// ring is one regular configuration and the order of its messages.
type ring struct {
	id      RingID
	members []NodeID // nil until somebody installed it
	incs    []uint64
	sent    []*message // completed messages in slot order
	base    Slot       // of frames[0] and origins[0]
	origins []Life
	frames  []uint64 // hash of what was sent
	stored  []uint64 // hash of what was held
	stays   []*stay
	quorum  ringQuorum

	processed map[share]map[Life]bool // who finished its share
}

// stay is the time one life spends in a ring: the regular configuration and the
// transitional one that follows.
type stay struct {
	life   *life
	ring   *ring
	from   *move // how it came here, nil in the first configuration
	prefix int   // ring.sent[:prefix] were delivered in reg
	extra  []int // positions delivered in tr, ascending
	hole   int   // first position skipped in tr, -1: none
	next   *move // how it left, set with the transitional configuration
	left   bool  // the next regular configuration came
	synced int   // rounds that finished
	dlv    []*message
	regLen int // of dlv, when tr came
}

func (s *stay) delivered(pos int) bool {
	if pos < s.prefix {
		return true
	}
	_, ok := slices.BinarySearch(s.extra, pos)
	return ok
}

// move is the way of those that go from one ring to the next together.
type move struct {
	from, to *ring
	trans    []NodeID
	stays    []*stay // of the old ring, of all that had the transitional configuration
	done     []*stay // of those that installed the new ring, in that order
}

// New returns a Checker for one trace.
func New(o Options) *Checker {
	if o.Max == 0 {
		o.Max = 1
	}
	return &Checker{
		opt:   o,
		nodes: make(map[NodeID]*node),
		byInc: make(map[incKey][]*life),
		msgs:  make(map[msgKey]*message),
		rings: make(map[RingID]*ring),
		moves: make(map[moveKey]*move),
	}
}

// Findings returns the violations found so far, the first one first.
func (c *Checker) Findings() []Finding { return c.findings }

// Rings returns the number of rings that somebody installed.
func (c *Checker) Rings() int {
	n := 0
	for _, r := range c.order {
		if r.members != nil {
			n++
		}
	}
	return n
}

func (c *Checker) fail(property, format string, args ...any) {
	if len(c.findings) < c.opt.Max {
		c.findings = append(c.findings, Finding{property, c.now, c.cur, fmt.Sprintf(format, args...)})
	}
}

// Add takes the next event. After Options.Max findings it does nothing.
func (c *Checker) Add(e *Event) {
	if len(c.findings) >= c.opt.Max {
		return
	}
	c.now, c.cur = e.At, e.Life
	switch e.Kind {
	case KindPhase:
		return
	case KindStart:
		c.start(e)
		return
	}
	if e.Life < 1 || int(e.Life) > len(c.lives) {
		c.fail("trace", "%v of life %d, which never started", e.Kind, e.Life)
		return
	}
	p := c.lives[e.Life-1]
	if p.end != alive {
		c.fail("trace", "%v at node %d after the end of that life", e.Kind, p.node)
		return
	}
	switch e.Kind {
	case KindCrash:
		p.end = crashed
		c.leaveQuorum(p)
	case KindStop:
		p.end = stopped
		c.leaveQuorum(p)
	case KindSubmit:
		c.submit(p, e)
	case KindOrig:
		c.orig(p, e)
	case KindDeliver:
		c.deliver(p, e)
	case KindConf:
		if e.Transitional {
			c.transitional(p, e)
		} else {
			c.regular(p, e)
		}
	case KindHeld:
		c.held(p, e)
	case KindStable:
		c.stable(p, e)
	case KindFrame:
		c.frame(p, e)
	case KindPersist:
		p.bound = max(p.bound, e.Bound)
	case KindPromise:
		if e.Ring.Seq > p.bound {
			c.fail("M1", "node %d commits to ring %v with only %d durable", p.node, e.Ring, p.bound)
		}
	case KindRecovery:
		p.recover[e.Ring] = true
	case KindKnows:
		p.knows = max(p.knows, e.Ring.Seq)
	case KindQuorum:
		if !e.Late {
			c.shown(p, e)
		}
	case KindInit, KindProcessed, KindActivate, KindAbort, KindSynced:
		c.sync(p, e)
	default:
		c.fail("trace", "event of kind %d", e.Kind)
	}
}

func (c *Checker) start(e *Event) {
	if int(e.Life) != len(c.lives)+1 {
		c.fail("trace", "life %d starts after %d lives", e.Life, len(c.lives))
		return
	}
	p := &life{id: e.Life, node: e.Node, inc: e.Inc, waived: e.Waived, bound: e.Bound,
		heard: make(map[Life]*hearing), recover: make(map[RingID]bool)}
	c.lives = append(c.lives, p)
	k := incKey{e.Node, e.Inc}
	c.byInc[k] = append(c.byInc[k], p)
	c.twins = c.twins || len(c.byInc[k]) > 1
	if c.nodes[e.Node] == nil {
		c.nodes[e.Node] = &node{installed: make(map[RingID]Life)}
	}
}

// ring finds or makes the entry of a ring that life p speaks of. Where a record
// was lost or old and the clock no help, a representative may come back with an
// incarnation that it had before, and make a ring with the id of one whose
// members are all dead; that is another ring (ordering 2.2).
func (c *Checker) ring(p *life, id RingID) *ring {
	r := c.rings[id]
	if r == nil || c.twins && r.extinct(c) && r.stay(p) == nil {
		r = &ring{id: id, base: c.opt.FirstSlot + 1}
		c.rings[id] = r
		c.order = append(c.order, r)
	}
	return r
}

// extinct reports whether all that installed r are dead, and its representative
// came back with the same incarnation.
func (r *ring) extinct(c *Checker) bool {
	if len(r.stays) == 0 || len(c.byInc[incKey{r.members[0], r.incs[0]}]) < 2 {
		return false
	}
	for _, s := range r.stays {
		if s.life.end == alive {
			return false
		}
	}
	return true
}

// stayOf finds the stay of a member of r, nil if it never installed r.
func (r *ring) stayOf(n NodeID, inc uint64) *stay {
	for _, s := range r.stays {
		if s.life.node == n && s.life.inc == inc {
			return s
		}
	}
	return nil
}
