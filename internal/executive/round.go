package executive

import (
	"fmt"
	"slices"

	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// roundState is where the configuration change is.
type roundState struct {
	held    bool // from the transitional configuration until the round ends: calls that need room wait
	partial bool // a round for the services that need quorum alone is in work
	ending  bool // a service showed what came of the round: doors take calls again, which still wait
	ready   bool // the round of the present ring ended
}

// configure takes a configuration. Clients wait before any service hears of it
// (corosync-ipc 1.4.8); a round in work is aborted before services see the
// transitional configuration, and begins after they saw the regular one.
func (c *Core) configure(conf *totem.Configuration) {
	if f := c.obs.Configuration; f != nil {
		f(c.now, conf)
	}
	c.round.ready, c.round.partial, c.round.ending = false, false, false
	c.round.held = true
	c.signal()
	change := service.ConfigChange{Ring: conf.Ring, Members: conf.Members, Primary: c.primary()}
	if conf.Kind == totem.Transitional {
		c.sync.Transitional(c.now, conf.Members)
		c.trans = slices.Clone(conf.Members)
		change.Kind, change.Left = service.Transitional, minus(c.members, conf.Members)
		c.tell(change)
		return
	}
	change.Kind, change.Joined = service.Regular, minus(conf.Members, c.trans)
	c.viewChanged(conf)
	c.ring, c.members = conf.Ring, slices.Clone(conf.Members)
	c.stats.Views++
	c.tell(change)
	c.sync.Regular(c.now, c.ring, c.members)
}

// tell shows a configuration to all services, in the order of their ids.
func (c *Core) tell(change service.ConfigChange) {
	for _, h := range c.hosts {
		h.svc.ConfigChange(change)
	}
}

// primary reports whether this node takes the present ring for quorate. Without
// a quorum service every ring is.
func (c *Core) primary() bool {
	return c.keeper == nil || c.view.quorum.Quorate && c.view.quorum.Ring == c.ring
}

// mayAct is primary for those who act on it: a decision that may be out of date
// does not count (ordering 4.6).
func (c *Core) mayAct() bool { return c.primary() && c.view.currency == service.CurrencyNow }

// finished ends a round: the engine lets messages of clients go, which are so
// ordered after those of the round, and clients go on.
func (c *Core) finished() {
	full := !c.round.partial
	c.round = roundState{ready: true}
	c.synced = true
	c.stats.Rounds++
	if full {
		c.engine.Release(c.now, c.ring)
		c.dirty = true
		if c.keeper == nil {
			c.view.currency, c.view.left = service.CurrencyNow, false
		}
	}
	for _, h := range c.hosts {
		if b, ok := h.svc.(service.Bystander); ok && !h.active() {
			b.PassedBy()
		}
	}
	c.signal()
}

// roundHost is the Core as package resync sees it.
type roundHost Core

var _ resync.Host = (*roundHost)(nil)

func (r *roundHost) Weight() uint32 { return r.cfg.votes() }

func (r *roundHost) Primary() bool { return (*Core)(r).primary() }

func (r *roundHost) Digest(id uint16) resync.Digest {
	if s := r.byID[id].syncer; s != nil {
		return resync.Digest(s.SyncDigest())
	}
	return resync.Digest{}
}

func (r *roundHost) Choose(id uint16, x *resync.Round) NodeID {
	if s, ok := r.byID[id].svc.(service.Chooser); ok {
		return s.SyncSender(exported(x))
	}
	return x.Sender
}

func (r *roundHost) Init(id uint16, x *resync.Round) {
	r.step(StepInit, id)
	if s := r.byID[id].syncer; s != nil {
		s.SyncInit(exported(x))
	}
	if x.Same {
		r.step(StepProcessed, id) // it has nothing to process
	}
}

func (r *roundHost) Process(id uint16, budget int) (done bool, err error) {
	done = true
	if s := r.byID[id].syncer; s != nil {
		done, err = s.SyncProcess(budget)
	}
	if done && err == nil {
		r.step(StepProcessed, id)
	}
	return done, err
}

func (r *roundHost) Activate(id uint16) {
	c := (*Core)(r)
	if !c.round.ending {
		c.round.ending = true
		c.signal()
	}
	r.step(StepActivate, id)
	if s := r.byID[id].syncer; s != nil {
		s.SyncActivate()
	}
}

func (r *roundHost) Abort(id uint16, cause error) {
	r.step(StepAbort, id)
	if s := r.byID[id].syncer; s != nil {
		s.SyncAbort(cause)
	}
}

func (r *roundHost) Send(body []byte) error {
	return (*Core)(r).submit(totem.Control, false, &header{kind: kindRound}, body)
}

func (r *roundHost) step(s Step, id uint16) {
	if f := r.obs.Service; f != nil {
		ring, round := r.sync.Round()
		f(r.now, ServiceStep{Step: s, Ring: ring, Round: round, Service: id})
	}
}

// Note follows the round for the decision log, and ends it.
func (r *roundHost) Note(n resync.Note) {
	c := (*Core)(r)
	if f := c.obs.Round; f != nil {
		f(n)
	}
	c.roundNoted(n)
	switch n.Kind {
	case resync.NoteStarted:
		c.round.partial, c.round.ending = n.Round > 0, false
		c.signal()
	case resync.NoteReady:
		c.finished()
	case resync.NoteStuck:
		c.engine.Distrust(c.now, c.ring)
		c.dirty, c.wakeNow = true, true
	case resync.NoteStalled:
		if c.cfg.SyncKill && slices.Contains(n.Missing, c.self()) {
			c.decide(Decision{Kind: DecisionStall, Ring: n.Ring, Reason: "sync-kill", Node: c.self(),
				Text: fmt.Sprintf("This node leaves: it holds the synchronisation of %s up, and sync_kill is set.", c.serviceName(n.Service))})
			c.failed, c.leaveBy, c.wakeNow = true, due(c.now), true
		}
	case resync.NoteFailed:
		// Partial state is never served: the node leaves (openais-executive 4.5 Z3).
		c.failed, c.leaveBy = true, due(c.now)
		c.wakeNow = true
	}
}

// exported is a round as services see it.
func exported(x *resync.Round) service.Round {
	out := service.Round{Ring: x.Ring, Members: x.Members, Trans: x.Trans, Sender: x.Sender, Version: x.Version, Same: x.Same}
	for _, p := range x.Peers {
		out.Peers = append(out.Peers, service.Peer{Node: p.Node, Has: p.Has, Versions: service.Range(p.Versions),
			Digest: service.Digest(p.Digest), Epoch: p.Epoch, Weight: p.Weight, Trans: p.Trans})
	}
	return out
}

// viewState is what is known about quorum.
type viewState struct {
	quorum   service.QuorumState
	currency service.Currency
	left     bool // the ring is not in place any more, or its decision is not made yet
	leftAt   Tick // since then
	token    Tick // for how long the last decision is still shown then
}

// wake is when the last decision stops being shown (ordering 4.6, "long gather").
func (v *viewState) wake() Tick {
	if !v.left || v.currency != service.CurrencyNow {
		return 0
	}
	return due(v.leftAt + v.token)
}

// Kept is the quorum part of the record as found at the start.
func (h *host) Kept() (service.QuorumRecord, bool) {
	return h.core.saver.kept, h.core.cfg.HadRecord
}

// Keep makes the quorum part of the record durable.
func (h *host) Keep(r service.QuorumRecord, done func(error)) { h.core.keep(r, done) }

// Decided shows a decision.
func (h *host) Decided(s service.QuorumState) {
	c := h.core
	if h != c.keeper {
		h.log.Error("decision by a service that is not the quorum service")
		return
	}
	before := c.view
	c.view.quorum = s
	if s.Ring == c.ring {
		c.view.currency, c.view.left = service.CurrencyNow, false
	}
	c.engine.Quorum(c.now, totem.QuorumState{Ring: s.Ring, Quorate: s.Quorate})
	c.quorumDecided(before)
	if f := c.obs.QuorumShown; f != nil {
		f(c.now, s)
	}
	c.quorumChanged()
}

// quorumChanged tells services of a change that does not come with a ring.
func (c *Core) quorumChanged() {
	if c.round.held || !c.round.ready {
		return
	}
	for _, h := range c.hosts {
		if l, ok := h.svc.(service.QuorumListener); ok {
			l.QuorumChanged()
		}
	}
}

// leftRing notes that the ring is not in place any more.
func (c *Core) leftRing() {
	if !c.view.left {
		c.view.left, c.view.leftAt, c.view.token = true, c.now, c.engine.Status().TokenTimeout
	}
}

// judgeCurrency ends the time for which the last decision is still shown.
func (c *Core) judgeCurrency() {
	if w := c.view.wake(); w != 0 && c.now >= w {
		c.setCurrency(service.CurrencyReconfiguring)
	}
}

// staleView says that nothing shown before is current: this process was not
// running (ordering 2.19 H1). A node alone in its ring has nobody who could have
// gone on without it.
func (c *Core) staleView() {
	if len(c.members) > 1 || c.view.left {
		c.setCurrency(service.CurrencyUnknown)
	}
}

func (c *Core) setCurrency(x service.Currency) {
	if c.view.currency == x {
		return
	}
	c.view.currency = x
	c.log.Info("quorum decision is "+x.String(), "ring", c.ring)
	if c.keeper != nil {
		c.keeper.quorum.Current(x)
	}
	c.quorumChanged()
}
