package executive

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/moothall/moothall/internal/explain"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// Names of the house, for short.
type (
	NodeID = proto.NodeID
	RingID = proto.RingID
	Tick   = proto.Tick
)

// Core is one member without its sockets, clock and disk. See the package
// comment for how to drive it.
type Core struct {
	cfg Config
	env Env
	obs *Observer
	log *slog.Logger
	now Tick

	sessions sessions
	engine   engine // nil while it starts anew
	sync     *resync.Machine
	hosts    []*host // ascending by service id
	byID     [resync.MaxServices]*host
	keeper   *host // the quorum service, nil: every configuration is primary

	saver  saver
	timers timers
	stale  *staleStart // a start with a higher incarnation is due
	other  *Reconfig   // takes effect in the next turn
	stop   totem.StopReason

	// The configuration in place.
	ring    RingID
	members []NodeID
	trans   []NodeID // of the last transitional configuration
	round   roundState
	view    viewState
	synced  bool // some round of this life ended

	// Clients.
	clients   []*Handle // ascending by id
	nextConn  uint64
	waiting   []*Handle // with queued calls, in the order they began to wait
	finishing []*Handle // their service is not yet told that they are gone
	room      totem.Level
	submitted volume // since the last Take
	budget    budget

	decisions decisions
	evidence  []string // of the view that comes next
	witnessed witness
	ledger    *explain.Ledger
	gaps      func() Gaps // of the watchdog; nil: there is none
	recent    []Transition

	// One flush.
	dirty      bool // the engine has to be asked again
	out        []seal.Datagram
	sealed     [seal.MaxLinks + 1]sealedFrame
	scratch    []byte
	engineWake Tick
	sealWake   Tick
	workWake   Tick // a round waits for room
	wakeNow    bool
	leaveBy    Tick // the engine is told to leave then at the latest; zero: not leaving
	left       bool
	failed     bool // it leaves because a service could not be synchronised

	stats Stats
}

// New makes a member. Its first Flush stores the record that covers the first
// ring; pings leave with the first Advance.
func New(now Tick, c Config, env Env) (*Core, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	core := &Core{cfg: c, env: env, log: c.Log, now: now}
	core.obs = &core.cfg.Observer
	core.decisions.max = c.Limits.Decisions
	core.saver.init(c.Record)
	if err := core.begin(now); err != nil {
		return nil, err
	}
	return core, nil
}

// begin starts sessions, engine and services of one life.
func (c *Core) begin(now Tick) error {
	var err error
	if c.sessions, err = c.cfg.newSessions(now, c.cfg.Seal); err != nil {
		return err
	}
	if c.engine, err = c.cfg.newEngine(now, c.cfg.Totem); err != nil {
		return err
	}
	if err := c.makeHosts(); err != nil {
		return err
	}
	c.sync, err = resync.New(resync.Config{Self: c.cfg.Totem.Self, Services: kinds(c.hosts), Stall: c.cfg.Limits.Stall}, (*roundHost)(c))
	if err != nil {
		return err
	}
	c.ring, c.members, c.trans, c.synced, c.other = RingID{}, nil, nil, false, nil
	c.ledger = explain.NewLedger(c.self(), explain.Names(c.cfg.Name), maxExplanations)
	c.witnessed = witness{born: now}
	c.round, c.view = roundState{}, viewState{currency: service.CurrencyUnknown}
	c.room, c.submitted, c.budget = totem.RoomLow, volume{}, budget{}
	c.sessions.SetCommitted(c.engine.CommittedSeq())
	c.dirty = true
	if f := c.obs.Start; f != nil {
		f(now, c.cfg.Totem.Inc)
	}
	for _, h := range c.hosts {
		if err := h.svc.Start(h); err != nil {
			return fmt.Errorf("start service %s: %w", h.info.Name, err)
		}
		h.started = true
	}
	return nil
}

// makeHosts makes the services and sorts them by id.
func (c *Core) makeHosts() error {
	c.hosts, c.keeper, c.byID = nil, nil, [resync.MaxServices]*host{}
	for _, f := range c.cfg.Services {
		h, err := newHost(c, f())
		if err != nil {
			return err
		}
		if o := c.byID[h.info.ID]; o != nil {
			return fmt.Errorf("executive: services %s and %s have the same id %d", o.info.Name, h.info.Name, h.info.ID)
		}
		c.byID[h.info.ID] = h
		c.hosts = append(c.hosts, h)
	}
	slices.SortFunc(c.hosts, func(a, b *host) int { return int(a.info.ID) - int(b.info.ID) })
	for i, h := range c.hosts {
		if h.quorum == nil {
			continue
		}
		if i > 0 {
			return fmt.Errorf("executive: quorum service %s has id %d, yet %s with id %d comes before it",
				h.info.Name, h.info.ID, c.hosts[0].info.Name, c.hosts[0].info.ID)
		}
		c.keeper = h
	}
	return nil
}

// maxExplanations are kept.
const maxExplanations = 256

// self is this node.
func (c *Core) self() NodeID { return c.cfg.Totem.Self }

// Incarnation is that of the present life.
func (c *Core) Incarnation() uint64 { return c.cfg.Totem.Inc }

// tick keeps time from going back.
func (c *Core) tick(now Tick) { c.now = max(c.now, now) }

// running reports whether there is an engine to feed.
func (c *Core) running() bool { return c.engine != nil && c.stop == totem.Running }

// Datagrams takes what arrived. The data is decrypted in place. The caller has
// put data and control in the order that TokenFirst asks for.
func (c *Core) Datagrams(now Tick, batch []seal.Datagram) {
	c.tick(now)
	for i := range batch {
		if !c.running() {
			return
		}
		d := &batch[i]
		o, ok := c.sessions.Open(c.now, *d)
		c.takeSessions()
		if !ok || !c.running() {
			continue
		}
		p := totem.Packet{From: o.From, Inc: o.Inc, Link: o.Link, Arrived: d.Arrived, Frame: o.Frame}
		if f := c.obs.Packet; f != nil {
			f(p)
		}
		if err := c.engine.Step(c.now, p); err != nil {
			c.stats.RefusedFrames++
			c.log.Debug("frame refused", "node", o.From, "err", err)
		}
	}
}

// Unreachable says that the kernel reported a refused port.
func (c *Core) Unreachable(now Tick, node NodeID, link uint8) {
	c.tick(now)
	if c.running() {
		c.sessions.Unreachable(c.now, node, link)
		c.takeSessions()
	}
}

// Dropped says that the kernel threw received packets away.
func (c *Core) Dropped(now Tick, packets int) {
	c.tick(now)
	c.stats.KernelDrops += uint64(packets)
	if c.running() {
		c.engine.Dropped(c.now, packets)
	}
}

// SetMTU says how large the payload of a datagram may be on a link from now on,
// because its interface says so or the kernel refused a larger one.
func (c *Core) SetMTU(now Tick, link uint8, payload int) {
	c.tick(now)
	if c.running() {
		c.sessions.SetMTU(c.now, link, payload)
		c.takeSessions()
	}
}

// Advance moves the clock and fires what is due.
func (c *Core) Advance(now Tick) {
	c.tick(now)
	if !c.running() {
		return
	}
	c.engine.Advance(c.now)
	c.sessions.Advance(c.now)
	c.takeSessions()
	c.sync.Advance(c.now)
	c.timers.fire(c.now)
	c.judgeCurrency()
	c.dropSlowClients()
	c.look()
	c.leaveDue()
}

// Wake is when Advance has something to do; zero: not before another input.
func (c *Core) Wake() Tick {
	if c.stop != totem.Running {
		return 0
	}
	if c.wakeNow {
		return due(c.now)
	}
	w := earliest(c.engineWake, c.sealWake)
	if c.engine == nil {
		return w
	}
	w = earliest(w, c.sync.Wake())
	w = earliest(w, c.workWake)
	w = earliest(w, c.timers.next())
	w = earliest(w, c.view.wake())
	w = earliest(w, c.budget.wake)
	return earliest(w, c.leaveBy)
}

// earliest is the smaller of two deadlines, of which zero is none.
func earliest(a, b Tick) Tick {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// due is a deadline as it is kept: zero would be none.
func due(t Tick) Tick { return max(t, 1) }

// TokenFirst says which socket the owner reads first: control, if it is true
// (ordering 2.8 A5).
func (c *Core) TokenFirst() bool { return c.running() && c.engine.TokenFirst() }

// Sessions is the real session layer of the present life, nil while the member
// starts anew. What is sealed with it speaks for this member: it is for tools
// that test what others make of such a member's words.
func (c *Core) Sessions() *seal.Core {
	s, _ := c.sessions.(*seal.Core)
	if c.engine == nil {
		return nil
	}
	return s
}

// Stopped says why the member came to its end; zero: it runs.
func (c *Core) Stopped() totem.StopReason { return c.stop }

// Leave starts a clean stop: services may say farewell, then the engine leaves
// the ring. Stopped tells when it is done.
func (c *Core) Leave(now Tick) {
	c.tick(now)
	if !c.running() {
		if c.stop == totem.Running {
			c.end(totem.StopLeft)
		}
		return
	}
	if c.leaveBy != 0 || c.left {
		return
	}
	for _, h := range c.hosts {
		if l, ok := h.svc.(service.Leaver); ok {
			l.Leaving()
		}
	}
	c.leaveBy = c.now + leavePatience
	if c.submit(totem.Normal, false, &header{kind: kindMark}, nil) != nil {
		c.leaveBy = due(c.now)
	}
	c.leaveDue()
}

// leavePatience is how long farewells may take to be ordered (ordering 2.18).
const leavePatience = 200 * proto.Millisecond

// leaveDue lets the engine leave when farewells had their time.
func (c *Core) leaveDue() {
	if c.leaveBy != 0 && c.now >= c.leaveBy && c.engine != nil {
		c.leaveBy, c.left, c.dirty = 0, true, true
		c.engine.Leave(c.now)
	}
}

// Readmit lets a node in that is kept out, before its time is over.
func (c *Core) Readmit(n NodeID) error {
	if !c.running() {
		return totem.ErrStopped
	}
	c.dirty = true
	return c.engine.Readmit(c.now, n)
}

// Halt ends the member at once, without a word to the others. Nothing is called
// any more afterwards.
func (c *Core) Halt(now Tick) {
	c.tick(now)
	c.end(totem.StopLeft)
}

// Settled is the present ring's members when its round is over, else nil.
func (c *Core) Settled() []NodeID {
	if !c.round.ready {
		return nil
	}
	return c.members
}

// Ready reports whether services were synchronised at least once in this life:
// before that clients have nothing to ask.
func (c *Core) Ready() bool { return c.synced }

// end is the one place where a member comes to its end.
func (c *Core) end(r totem.StopReason) {
	if c.stop != totem.Running {
		return
	}
	if r == totem.StopLeft && c.failed {
		r = totem.StopServiceFailed // nobody wished it
	}
	c.stop = r
	c.decide(Decision{Kind: DecisionStop, Reason: r.String(), Text: "This member stopped: " + r.String() + "."})
	if r != totem.StopLeft {
		c.lastWords()
	}
	c.stopServices()
	say := c.log.Warn
	if r == totem.StopLeft {
		say = c.log.Info // as it was told to
	}
	say("member stopped", "why", r.String())
	if f := c.obs.Stop; f != nil {
		f(c.now, r)
	}
}

// lastWords lets services tell their clients which entry of the log says why the
// member ends, which is the last one.
func (c *Core) lastWords() {
	record := fmt.Sprintf("%016x.%08x.%016x", c.cfg.Totem.Inc, c.self(), c.decisions.made)
	for _, h := range c.hosts {
		if a, ok := h.svc.(service.Aborter); ok && h.started {
			a.Aborting(record)
		}
	}
}

// stopServices ends all client connections and all services.
func (c *Core) stopServices() {
	for _, h := range slices.Clone(c.clients) {
		h.disconnect(service.ErrClosed)
	}
	c.finishClients()
	for _, h := range slices.Backward(c.hosts) {
		if h.started {
			h.started = false
			h.svc.Stop()
		}
	}
	c.timers.clear()
	c.waiting = nil
}
