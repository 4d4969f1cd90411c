package executive

import (
	"slices"

	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/seal"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// Stats are counters since the start.
type Stats struct {
	Submitted      uint64 // messages the engine took
	Delivered      uint64 // messages the engine delivered
	Pushed         uint64 // events to clients
	Datagrams      uint64 // sent
	Views          uint64 // regular configurations
	Rounds         uint64 // finished
	Aborts         uint64 // rounds that broke off
	Gathers        uint64
	RefusedFrames  uint64 // by the engine
	Malformed      uint64 // ordered messages that make no sense
	UnknownService uint64 // messages for services this node does not run
	LateSync       uint64 // synchronisation messages of another round
	NotPrimary     uint64 // messages nobody acts on outside of the primary component
	SlowClients    uint64 // disconnected
	KernelDrops    uint64 // received packets that the kernel threw away

	full bool // the submit queue is at its critical level
}

// Queue is one bounded queue and how full it is.
type Queue struct {
	Name      string `json:"name"`
	Used      int    `json:"used"`
	Bound     int    `json:"bound"`
	Unit      string `json:"unit"`
	BlockedBy string `json:"blocked_by,omitempty"` // who keeps it from being emptied
}

// Status is what people and programs may want to know, a copy.
type Status struct {
	Self     NodeID              `json:"self"`
	Inc      uint64              `json:"incarnation"`
	Now      Tick                `json:"now"`
	Ring     RingID              `json:"ring"`
	Members  []NodeID            `json:"members"`
	Engine   totem.Status        `json:"engine"`
	Links    []seal.LinkStatus   `json:"links"`
	Quorum   service.QuorumState `json:"quorum"`
	Currency string              `json:"currency"` // of the quorum decision: current, reconfiguring, unknown
	Primary  bool                `json:"primary"`  // to be acted upon: quorate and current
	Ready    bool                `json:"ready"`    // services are synchronised in this ring
	Round    RoundStatus         `json:"round"`
	Services []ServiceStatus     `json:"services"`
	Clients  []ClientStatus      `json:"clients"`
	Queues   []Queue             `json:"queues"`
	Stats    Stats               `json:"stats"`
	Sessions []seal.Counter      `json:"sessions"`
	Recent   []Transition        `json:"recent"` // of the engine, oldest first
	Gaps     Gaps                `json:"gaps"`   // filled in by Loop
	Stop     string              `json:"stop,omitempty"`
}

// Transition is one change of the engine's state.
type Transition struct {
	At     Tick   `json:"at"`
	Ring   RingID `json:"ring"`
	From   string `json:"from"`
	To     string `json:"to"`
	Reason string `json:"reason"`
	Node   NodeID `json:"node,omitempty"`
}

// maxTransitions are kept (ordering 2.19 H21).
const maxTransitions = 64

// changed remembers a change of the engine's state.
func (c *Core) changed(e *totem.TraceEvent) {
	if len(c.recent) == maxTransitions {
		c.recent = slices.Delete(c.recent, 0, 1)
	}
	c.recent = append(c.recent, Transition{At: e.At, Ring: e.Ring, From: e.From.String(), To: e.To.String(), Reason: e.Reason.String(), Node: e.Node})
}

// RoundStatus is where the synchronisation is.
type RoundStatus struct {
	State   string   `json:"state"`
	Round   uint32   `json:"round"`
	Service string   `json:"service,omitempty"`
	Missing []NodeID `json:"missing,omitempty"`
	Since   Tick     `json:"since"`
}

// ServiceStatus is one service.
type ServiceStatus struct {
	Name   string `json:"name"`
	ID     uint16 `json:"id"`
	Active bool   `json:"active"`
	Epoch  uint64 `json:"epoch"` // of its state
}

// ClientStatus is one client connection.
type ClientStatus struct {
	ID      uint64       `json:"id"`
	Service string       `json:"service"`
	Cred    service.Cred `json:"cred"`
	Waiting int          `json:"waiting"` // calls
	Untaken int          `json:"untaken"` // bytes of events
	Blocked bool         `json:"blocked"`
}

// Status describes the member now.
func (c *Core) Status() Status {
	s := Status{
		Self: c.self(), Inc: c.cfg.Totem.Inc, Now: c.now, Ring: c.ring, Members: slices.Clone(c.members),
		Quorum: c.view.quorum, Currency: c.view.currency.String(),
		Primary: c.mayAct(), Ready: c.round.ready, Stats: c.stats,
		Recent: slices.Clone(c.recent),
	}
	if c.stop != totem.Running {
		s.Stop = c.stop.String()
	}
	if c.engine == nil {
		return s
	}
	s.Engine, s.Links, s.Sessions = c.engine.Status(), c.sessions.Status(), c.sessions.Counters()
	r := c.sync.Status()
	s.Round = RoundStatus{State: r.State.String(), Round: r.Round, Missing: r.Missing, Since: r.Since}
	if r.Service != resync.NoService {
		s.Round.Service = c.serviceName(r.Service)
	}
	for _, h := range c.hosts {
		s.Services = append(s.Services, ServiceStatus{Name: h.info.Name, ID: h.info.ID, Active: h.active(),
			Epoch: uint64(c.sync.Epoch(h.info.ID))})
	}
	c.clientStatus(&s)
	c.queueStatus(&s)
	return s
}

func (c *Core) clientStatus(s *Status) {
	for _, h := range c.clients {
		s.Clients = append(s.Clients, ClientStatus{ID: h.id, Service: h.host.info.Name, Cred: h.cred,
			Waiting: len(h.calls), Untaken: h.debt.bytes, Blocked: h.blocked})
	}
}

func (c *Core) queueStatus(s *Status) {
	blocker := ""
	if n := s.Engine.BlockedBy; n != 0 {
		blocker = c.cfg.Name(n)
	}
	for _, q := range s.Engine.Queues {
		e := Queue{Name: q.Name, Used: q.Used, Bound: q.Bound, Unit: q.Unit, BlockedBy: blocker}
		if q.Name == "delivered" {
			e.BlockedBy = c.worstClient()
		}
		s.Queues = append(s.Queues, e)
	}
	calls, untaken := 0, 0
	for _, h := range c.clients {
		calls = max(calls, len(h.calls))
		untaken = max(untaken, h.debt.bytes)
	}
	wait := ""
	switch {
	case c.round.held || c.round.partial:
		wait = "synchronisation"
	case c.room == totem.RoomCritical:
		wait = "ring"
	}
	s.Queues = append(s.Queues,
		Queue{Name: "client.calls", Used: calls, Bound: c.cfg.Limits.ClientCalls, Unit: "messages", BlockedBy: wait},
		Queue{Name: "client.events", Used: untaken, Bound: c.cfg.Limits.ClientBytes, Unit: "bytes", BlockedBy: c.worstClient()},
		Queue{Name: "decisions", Used: len(c.decisions.list), Bound: c.decisions.max, Unit: "entries"})
}

// worstClient names the client that owes most, "" if none owes anything.
func (c *Core) worstClient() string {
	var worst *Handle
	for _, h := range c.clients {
		if h.debt.bytes > 0 && (worst == nil || h.debt.bytes > worst.debt.bytes) {
			worst = h
		}
	}
	if worst == nil {
		return ""
	}
	return worst.name()
}
