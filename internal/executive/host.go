package executive

import (
	"container/heap"
	"fmt"
	"log/slog"
	"time"

	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/totem"
	"github.com/moothall/moothall/service"
)

// host is one service and what it may ask of the Core: its service.Executive,
// service.QuorumViewer and, for the quorum service, service.QuorumKeeper.
type host struct {
	core    *Core
	svc     service.Service
	info    service.Info
	syncer  service.Syncer // nil: nothing to synchronise
	quorum  service.Quorum // nil: not the quorum service
	started bool
	flow    bool // some calls wait during a round
	largest int  // body of a message; zero: as large as the ring takes
	log     *slog.Logger
}

var (
	_ service.Executive    = (*host)(nil)
	_ service.QuorumViewer = (*host)(nil)
	_ service.QuorumKeeper = (*host)(nil)
)

func newHost(c *Core, s service.Service) (*host, error) {
	h := &host{core: c, svc: s, info: s.Info()}
	h.syncer, _ = s.(service.Syncer)
	h.quorum, _ = s.(service.Quorum)
	h.log = c.log.With("service", h.info.Name)
	if _, relays := s.(Relay); h.info.ID >= service.FirstID && !relays {
		h.largest = service.MaxMessage
	}
	if h.info.ID >= resync.MaxServices {
		return nil, fmt.Errorf("executive: service %s has id %d, at most %d", h.info.Name, h.info.ID, resync.MaxServices-1)
	}
	if h.quorum != nil && !h.info.RunsWithoutQuorum {
		return nil, fmt.Errorf("executive: quorum service %s must run without quorum", h.info.Name)
	}
	for _, call := range h.info.Calls {
		h.flow = h.flow || call.Flow
	}
	return h, nil
}

// Relay is implemented by a service that puts a header of its own before the
// messages of another one, which may be as large as a service's can be.
type Relay interface{ Relays() }

// active reports whether messages of the service are acted on.
func (h *host) active() bool { return h.info.RunsWithoutQuorum || h.core.sync.Active(h.info.ID) }

// Self is this node.
func (h *host) Self() service.NodeID { return h.core.self() }

// errNotInRound is returned for a message of class Sync that belongs to no
// round.
var errNotInRound = fmt.Errorf("executive: synchronisation message outside of a round: %w", service.ErrClosed)

// Multicast orders one message of the service.
func (h *host) Multicast(fn uint16, class service.MsgClass, level service.Level, src service.Source, body []byte) error {
	c := h.core
	if h.largest != 0 && len(body) > h.largest {
		return service.ErrTooBig
	}
	m := header{kind: kindNormal, service: h.info.ID, fn: fn, src: src}
	to := totem.Normal
	if class == service.Sync {
		if !c.sync.InRound(h.info.ID) {
			return errNotInRound
		}
		m.kind, to = kindSync, totem.Control
		m.ring, m.round = c.sync.Round()
	}
	return c.submit(to, level == service.Safe, &m, body)
}

// Room reports whether a message of that size would be taken now.
func (h *host) Room(bytes int) bool { return h.core.hasRoom(bytes) }

// Local finds the connection that a message came from.
func (h *host) Local(s service.Source) (service.Conn, bool) {
	if s.Node != h.core.self() || s.Conn == 0 {
		return nil, false
	}
	k := h.core.find(s.Conn)
	if k == nil || k.host != h || k.closed {
		return nil, false
	}
	return &k.conn, true
}

// After calls f on the owner when d has passed.
func (h *host) After(d time.Duration, f func()) service.Timer {
	return h.core.timers.add(h.core.now+Tick(d), f)
}

// Now dates things for people; it must not decide replicated state.
func (h *host) Now() time.Time { return h.core.wall() }

// Nodes is the configured node list.
func (h *host) Nodes() service.NodeDirectory { return (*directory)(h.core) }

// Log is the executive's log with the service's name.
func (h *host) Log() *slog.Logger { return h.log }

// Quorum is the last decision and how much it is worth.
func (h *host) Quorum() (service.QuorumState, service.Currency) {
	return h.core.view.quorum, h.core.view.currency
}

// wall is the wall clock as of the Core's Tick.
func (c *Core) wall() time.Time { return c.cfg.Wall.Add(time.Duration(c.now)) }

// directory is the configured node list.
type directory Core

func (d *directory) Name(n service.NodeID) string { return d.cfg.Name(n) }

func (d *directory) Configured() []service.NodeID {
	ids := make([]service.NodeID, 0, len(d.cfg.Totem.Nodes))
	for _, n := range d.cfg.Totem.Nodes {
		ids = append(ids, n.ID)
	}
	return ids
}

// timers are the services' pending calls, earliest first, equal deadlines in
// the order they were made.
type timers struct {
	queue timerQueue
	made  uint64
}

type timer struct {
	due  Tick
	no   uint64
	f    func()
	at   int // in the queue, -1: not in it
	heap *timerQueue
}

// Stop keeps f from being called if it was not called yet.
func (t *timer) Stop() {
	if t.at >= 0 {
		heap.Remove(t.heap, t.at)
	}
}

func (s *timers) add(at Tick, f func()) *timer {
	s.made++
	t := &timer{due: at, no: s.made, f: f, heap: &s.queue}
	heap.Push(&s.queue, t)
	return t
}

// clear forgets all timers; stopping one of them later does nothing.
func (s *timers) clear() {
	for _, t := range s.queue {
		t.at = -1
	}
	s.queue = nil
}

func (s *timers) next() Tick {
	if len(s.queue) == 0 {
		return 0
	}
	return due(s.queue[0].due)
}

// fire calls what is due. A function that sets a timer anew which is due at once
// is called in the next round.
func (s *timers) fire(now Tick) {
	for made := s.made; len(s.queue) > 0 && s.queue[0].due <= now && s.queue[0].no <= made; {
		t := heap.Pop(&s.queue).(*timer)
		t.f()
	}
}

type timerQueue []*timer

func (q timerQueue) Len() int { return len(q) }

func (q timerQueue) Less(i, j int) bool {
	return q[i].due < q[j].due || q[i].due == q[j].due && q[i].no < q[j].no
}

func (q timerQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push and Pop are for package heap.
func (q *timerQueue) Push(x any) {
	t := x.(*timer)
	t.at = len(*q)
	*q = append(*q, t)
}

func (q *timerQueue) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	t.at = -1
	*q = old[:len(old)-1]
	return t
}
