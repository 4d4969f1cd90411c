package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/resync"
	"github.com/moothall/moothall/internal/service/outside"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/service"
)

// host runs one service on one goroutine: what the executive does in an agent.
type host struct {
	ctx  context.Context
	line session.Conn
	svc  service.Service
	info service.Info
	self service.NodeID
	log  *slog.Logger
	born time.Time

	syncer service.Syncer // nil: nothing to synchronise
	sync   *resync.Machine

	ring    service.RingID // of the configuration
	flowing bool           // its round is over
	synced  bool           // some round is over
	quorum  outside.Quorum

	names map[service.NodeID]string
	order []service.NodeID

	conns map[uint64]*conn
	holds []*conn // those whose client may keep calls waiting, in the order of their opening
	taken uint64  // calls, since the start
	told  uint64  // of them, what the agent knows

	normal  []message // multicasts that wait until messages flow
	waiting int       // their cost
	sent    uint64    // cost of what went out
	acked   uint64    // of that, what the ring took

	timers []*timer // by time, then in the order they were made
	fault  error    // what ends the process
}

var (
	_ service.Executive    = (*host)(nil)
	_ service.QuorumViewer = (*host)(nil)
	_ resync.Host          = (*rounds)(nil)
)

func newHost(ctx context.Context, line session.Conn, s service.Service, info service.Info, w outside.Welcome, log *slog.Logger) (*host, error) {
	h := &host{ctx: ctx, line: line, svc: s, info: info, self: w.Self, log: log, born: time.Now(), conns: map[uint64]*conn{}}
	h.syncer, _ = s.(service.Syncer)
	h.name(w.Nodes)
	var err error
	h.sync, err = resync.New(resync.Config{Self: w.Self, Services: []resync.Service{{ID: info.ID, Name: info.Name,
		Versions: resync.Range(info.Versions), NeedsQuorum: !info.RunsWithoutQuorum}}}, (*rounds)(h))
	if err != nil {
		return nil, err
	}
	if err := s.Start(h); err != nil {
		return nil, fmt.Errorf("start service %s: %w", info.Name, err)
	}
	return h, nil
}

func (h *host) name(nodes []outside.Name) {
	h.names, h.order = map[service.NodeID]string{}, nil
	for _, n := range nodes {
		h.names[n.Node] = n.Name
		h.order = append(h.order, n.Node)
	}
}

// batch is how many events are taken at once.
const batch = 64

// syncRetry is how soon a round that waits for something of the service asks
// again.
const syncRetry = 2 * time.Millisecond

// run works until the agent goes.
func (h *host) run() error {
	defer h.stop()
	events := make([]session.Event, batch)
	for h.fault == nil {
		n, err := h.recv(events)
		if err != nil {
			return err
		}
		for i := range events[:n] {
			if err := h.event(&events[i]); err != nil {
				return err
			}
		}
		if err := h.settle(); err != nil {
			return err
		}
	}
	return h.fault
}

// recv waits for events, or until something is due.
func (h *host) recv(events []session.Event) (int, error) {
	ctx := h.ctx
	if due, ok := h.due(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(h.ctx, due)
		defer cancel()
	}
	n, err := h.line.Recv(ctx, events)
	if errors.Is(err, context.DeadlineExceeded) && h.ctx.Err() == nil {
		return 0, nil
	}
	return n, err
}

// due is when the host has something to do by itself.
func (h *host) due() (at time.Time, ok bool) {
	if h.sync.Busy() {
		at, ok = time.Now().Add(syncRetry), true
	}
	if w := h.sync.Wake(); w != 0 {
		if t := h.born.Add(time.Duration(w)); !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if len(h.timers) > 0 && (!ok || h.timers[0].at.Before(at)) {
		at, ok = h.timers[0].at, true
	}
	return at, ok
}

// settle does what follows from events, and what is due.
func (h *host) settle() error {
	h.fire()
	now := h.tick()
	h.sync.Advance(now)
	h.sync.Renew(now)
	if h.sync.Busy() {
		h.sync.Work(now, syncBudget)
	}
	h.release()
	h.pump()
	if h.taken > h.told {
		h.told = h.taken
		h.tell(outside.CallTook, outside.Count{N: h.taken})
	}
	return h.fault
}

const syncBudget = 64

// stop ends the service.
func (h *host) stop() {
	ids := make([]uint64, 0, len(h.conns))
	for id := range h.conns {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		h.closed(id)
	}
	h.svc.Stop()
}

func (h *host) tick() proto.Tick { return proto.Tick(time.Since(h.born)) }

// event takes what the agent tells.
func (h *host) event(e *session.Event) error {
	switch e.Kind {
	case outside.EventView:
		v, err := outside.ParseView(e.Body)
		if err == nil {
			h.view(&v)
		}
		return err
	case outside.EventMessage:
		m, err := outside.ParseMessage(e.Body)
		if err == nil {
			h.deliver(&m)
		}
		return err
	case outside.EventOpen:
		o, err := outside.ParseOpen(e.Body)
		if err == nil {
			h.open(&o)
		}
		return err
	case outside.EventCall:
		c, err := outside.ParseCall(e.Body)
		if err == nil {
			h.call(&c)
		}
		return err
	case outside.EventClosed:
		c, err := outside.ParseCount(e.Body)
		h.closed(c.N)
		return err
	case outside.EventQuorum:
		q, err := outside.ParseQuorum(e.Body)
		h.quorumChanged(q)
		return err
	case outside.EventSent:
		c, err := outside.ParseCount(e.Body)
		h.acked = c.N
		return err
	case outside.EventPing:
		c, err := outside.ParseCount(e.Body)
		h.tell(outside.CallPong, c)
		return err
	case outside.EventNodes:
		n, err := outside.ParseNodes(e.Body)
		h.name(n.Nodes)
		return err
	case outside.EventDump:
		h.dump()
		return nil
	case outside.EventLeaving:
		if l, ok := h.svc.(service.Leaver); ok {
			l.Leaving()
		}
		return nil
	}
	return fmt.Errorf("remote: the agent tells something of kind %d, which protocol %d does not have", e.Kind, outside.Protocol)
}

// dump writes what the service holds to the log.
func (h *host) dump() {
	d, ok := h.svc.(service.Dumper)
	if !ok {
		h.log.Info("The service cannot say what it holds")
		return
	}
	var b strings.Builder
	d.Dump(&b)
	for line := range strings.Lines(b.String()) {
		h.log.Info("It holds " + strings.TrimRight(line, "\n"))
	}
}

type appender interface{ AppendTo([]byte) []byte }

// tell says something to the agent.
func (h *host) tell(fn uint16, a appender) { h.cast(fn, a.AppendTo(nil)) }

func (h *host) cast(fn uint16, b []byte) {
	if err := h.line.Cast(h.ctx, fn, 0, b); err != nil && h.fault == nil {
		h.fault = err
	}
}

// view takes a configuration.
func (h *host) view(v *outside.View) {
	h.flowing = false
	c := service.ConfigChange{Kind: service.Regular, Ring: v.Ring, Members: v.Members, Left: v.Left, Joined: v.Joined, Primary: v.Primary}
	if v.Transitional {
		c.Kind = service.Transitional
		h.sync.Transitional(h.tick(), v.Members)
		h.svc.ConfigChange(c)
		return
	}
	h.ring = v.Ring
	h.svc.ConfigChange(c)
	h.sync.Regular(h.tick(), v.Ring, v.Members)
}

// deliver takes an ordered message.
func (h *host) deliver(m *outside.Message) {
	if m.Part == outside.Rounds {
		if err := h.sync.Deliver(h.tick(), m.From, h.ring, m.Body); err != nil {
			h.log.Warn("malformed message of a round", "node", m.From, "err", err)
		}
		return
	}
	out := service.Message{From: m.From, Func: m.Func, Ring: m.Place, Slot: m.Slot, Src: m.Src, Body: m.Body}
	if m.Safe {
		out.Level = service.Safe
	}
	switch {
	case m.Part == outside.Sync:
		if ring, round := h.sync.Round(); m.Ring != ring || m.Round != round || !h.sync.InRound(h.info.ID) {
			return
		}
		out.Class = service.Sync
		h.sync.Moved(h.tick())
		h.svc.Deliver(out)
	case !h.synced:
	case !h.active():
		h.refuse(m.Src)
	default:
		h.svc.Deliver(out)
	}
}

// active reports whether messages are acted on.
func (h *host) active() bool { return h.info.RunsWithoutQuorum || h.sync.Active(h.info.ID) }

// mayAct reports whether clients may change something.
func (h *host) mayAct() bool {
	return h.active() && h.quorum.Primary && h.quorum.Currency == service.CurrencyNow
}

func (h *host) quorumChanged(q outside.Quorum) {
	h.quorum = q
	if l, ok := h.svc.(service.QuorumListener); ok && h.flowing {
		l.QuorumChanged()
	}
}

// message is an encoded multicast.
type message struct {
	b    []byte
	cost int
}

func encode(m *outside.Multicast) message {
	return message{m.AppendTo(nil), outside.Cost(len(m.Body))}
}

// pump sends multicasts that waited, as far as there is room.
func (h *host) pump() {
	for h.flowing && len(h.normal) > 0 && h.onTheWay()+h.normal[0].cost <= outside.Window {
		m := h.normal[0]
		h.normal[0] = message{}
		h.normal = h.normal[1:]
		h.waiting -= m.cost
		h.out(m)
	}
}

// out sends a multicast.
func (h *host) out(m message) {
	h.sent += uint64(m.cost)
	h.cast(outside.CallMulticast, m.b)
}

// onTheWay is the cost of what the ring has not taken.
func (h *host) onTheWay() int { return int(h.sent - h.acked) }
