package cpg

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"

	cpgs "github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/session"
)

// Member is this program in a group. See the package comment for which methods
// may be called together.
type Member struct {
	conn  session.Conn
	group string
	id    MemberID
	cfg   JoinConfig
	seq   atomic.Uint64

	// What follows is the receiver's.
	batch   []session.Event // as the connection gave it; bodies are valid until it is asked again
	next    int             // of batch
	replay  []session.Event // what was held back, before anything of batch
	failed  error           // ends the stream
	parts   map[MemberID]*assembly
	transit transit
}

// ID is this member's own identity.
func (m *Member) ID() MemberID { return m.id }

// Group is the group's name.
func (m *Member) Group() string { return m.group }

// batchSize is how many events are asked for at once.
const batchSize = 256

// Recv waits for the next event. After an error there are no more, but for one of
// ctx: then it may be called again.
func (m *Member) Recv(ctx context.Context) (Event, error) {
	var one [1]Event
	if _, err := m.RecvBatch(ctx, one[:]); err != nil {
		return nil, err
	}
	return one[0], nil
}

// RecvBatch waits for at least one event and fills dst with what is there, up to
// len(dst), which must not be zero. Bodies of messages are valid until the next
// call. A State is always the last of its batch.
func (m *Member) RecvBatch(ctx context.Context, dst []Event) (int, error) {
	if err := m.settleState(ctx); err != nil {
		return 0, err
	}
	n := 0
	for n < len(dst) {
		if n > 0 && !m.ready() {
			break
		}
		ev, err := m.event(ctx)
		if err != nil {
			if n > 0 && m.failed != nil {
				break // it comes with the next call
			}
			return n, err
		}
		if ev == nil {
			continue
		}
		dst[n] = ev
		n++
		if _, ok := ev.(*State); ok {
			break
		}
	}
	return n, nil
}

// All is Recv as a loop. It ends after the first error, and with a break; another
// loop goes on where it ended.
func (m *Member) All(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			ev, err := m.Recv(ctx)
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

// ready reports whether there is an event without asking the connection.
func (m *Member) ready() bool { return len(m.replay) > 0 || m.next < len(m.batch) }

// raw takes one event of the connection. Its body is valid until the next call
// when ready said no before it.
func (m *Member) raw(ctx context.Context) (session.Event, error) {
	if m.failed != nil {
		return session.Event{}, m.failed
	}
	if len(m.replay) > 0 {
		ev := m.replay[0]
		m.replay = m.replay[1:]
		return ev, nil
	}
	if m.next == len(m.batch) {
		if m.batch == nil {
			m.batch = make([]session.Event, batchSize)
		}
		n, err := m.conn.Recv(ctx, m.batch[:batchSize])
		m.batch, m.next = m.batch[:n], 0
		if err != nil {
			if ctx.Err() == nil || errors.Is(err, session.ErrClosed) {
				return session.Event{}, m.fail(err)
			}
			return session.Event{}, err
		}
	}
	m.next++
	return m.batch[m.next-1], nil
}

// fail ends the stream.
func (m *Member) fail(err error) error {
	if m.failed == nil {
		m.failed = fmt.Errorf("cpg: group %q: %w", m.group, err)
	}
	return m.failed
}

// event takes one event; nil: it was none for the user.
func (m *Member) event(ctx context.Context) (Event, error) {
	if s := m.transit.next; s != nil {
		m.transit.next = nil
		return s, nil
	}
	raw, err := m.raw(ctx)
	if err != nil {
		return nil, err
	}
	ev, err := m.understand(ctx, raw)
	if err != nil {
		m.conn.Close()
		return nil, m.fail(err)
	}
	return ev, nil
}

// understand makes an event of what the service pushed; nil: there is nothing to
// tell yet.
func (m *Member) understand(ctx context.Context, raw session.Event) (Event, error) {
	switch raw.Kind {
	case cpgs.EventView, cpgs.EventMessage, cpgs.EventPartial:
		if m.transit.awaits {
			return nil, m.hold(raw)
		}
		return m.plain(raw)
	case cpgs.EventGive:
		t, err := cpgs.ParseTransfer(raw.Body)
		return Snapshot{m: m, place: t.Place}, err
	case cpgs.EventAwait, cpgs.EventPiece, cpgs.EventAnew:
		return m.stateEvent(ctx, raw)
	}
	return nil, nil // of a newer agent, or before the join
}

// plain makes a message or view.
func (m *Member) plain(raw session.Event) (Event, error) {
	switch raw.Kind {
	case cpgs.EventView:
		v, err := view(raw.Body)
		for _, l := range v.Left {
			delete(m.parts, l.ID)
		}
		return v, err
	case cpgs.EventPartial:
		return m.assemble(raw.Body)
	}
	msg, err := m.message(raw.Body)
	return msg, err
}

// maxAssembly bounds what the fragments of libcpg programs are put together to,
// for all senders.
const maxAssembly = 64 << 20

// assembly is a message of a libcpg program that comes in fragments.
type assembly struct{ body []byte }

// assemble puts fragments together; nil: the message is not whole yet.
func (m *Member) assemble(body []byte) (Event, error) {
	p, err := cpgs.ParsePartialDeliver(body)
	if err != nil {
		return nil, err
	}
	from := MemberID{Node: p.Node, PID: p.PID}
	if p.Kind == cpgs.FragmentFirst {
		if m.parts == nil {
			m.parts = map[MemberID]*assembly{}
		}
		m.parts[from] = &assembly{}
	}
	a := m.parts[from]
	if a == nil {
		return nil, m.half(from) // its beginning came before the join
	}
	if len(a.body)+len(p.Fragment) > int(p.Total) || m.assembled()+len(p.Fragment) > maxAssembly {
		return nil, fmt.Errorf("%v sends a message of %d bytes in fragments, %d bytes are put together at most: %w", from, p.Total, maxAssembly, ErrTooBig)
	}
	a.body = append(a.body, p.Fragment...)
	if p.Kind != cpgs.FragmentLast {
		return nil, nil
	}
	delete(m.parts, from)
	if len(a.body) != int(p.Total) {
		return nil, m.half(from) // some of it came before a state that has replaced what was held back
	}
	return Message{From: from, Body: a.body, Safe: p.Safe}, nil
}

// half says what to do about a message of which this member has a part only:
// nothing, but where the others apply it to a state.
func (m *Member) half(from MemberID) error {
	if !m.cfg.Stateful {
		return nil
	}
	return fmt.Errorf("%v sent the first part of a message before this member's state: %w", from, ErrJoinAnew)
}

func (m *Member) assembled() (n int) {
	for _, a := range m.parts {
		n += len(a.body)
	}
	return n
}

// Send returns when the message is accepted for ordering, waiting for room if it
// must. The number that it returns comes back with the message, so that its own
// sender knows it; numbers of one goroutine ascend. After an error the message
// was not sent.
func (m *Member) Send(ctx context.Context, body []byte) (seq uint64, err error) {
	if len(body) > MaxMessage {
		return 0, ErrTooBig
	}
	seq = m.seq.Add(1)
	return seq, m.told(m.conn.Cast(ctx, cpgs.CallSend, seq, body))
}

// TrySend is Send that returns ErrTryAgain instead of waiting.
func (m *Member) TrySend(body []byte) (seq uint64, err error) {
	if len(body) > MaxMessage {
		return 0, ErrTooBig
	}
	seq = m.seq.Add(1)
	return seq, m.told(m.conn.TryCast(cpgs.CallSend, seq, body))
}

// SendTo sends to one member, in the order of all messages. When that member is
// gone before, nobody gets it.
func (m *Member) SendTo(ctx context.Context, to MemberID, body []byte) (seq uint64, err error) {
	if len(body) > MaxMessage {
		return 0, ErrTooBig
	}
	seq = m.seq.Add(1)
	q := cpgs.DirectRequest{Node: to.Node, PID: to.PID, Instance: to.Instance, Message: body}
	return seq, m.told(m.conn.Cast(ctx, cpgs.CallDirect, seq, q.AppendTo(nil)))
}

// Safe names the configuration in which a message became safe: each of Members
// delivers it there unless it crashes (ordering 1.3, S1 and S2). Transitional is
// the weaker answer: it covers only those who came along when the ring broke.
type Safe struct {
	Ring         RingID
	Transitional bool
	Members      []NodeID // ascending
}

// SendSafe returns when the message is safe, and says where. It does not need
// anybody to receive meanwhile. An error leaves the outcome open: the message may
// still be delivered.
func (m *Member) SendSafe(ctx context.Context, body []byte) (Safe, error) {
	if len(body) > MaxMessage {
		return Safe{}, ErrTooBig
	}
	answer, err := m.conn.Call(ctx, cpgs.CallSafe, body)
	if err != nil {
		return Safe{}, m.told(err)
	}
	r, err := cpgs.ParseSafe(answer)
	return Safe{Ring: r.Ring, Transitional: r.Transitional, Members: r.Members}, m.told(err)
}

// SetRank changes this member's rank at a place in the order.
func (m *Member) SetRank(ctx context.Context, rank uint64) error {
	return m.told(m.conn.Cast(ctx, cpgs.CallRank, 0, cpgs.RankRequest{Rank: rank}.AppendTo(nil)))
}

// Leave takes this program out of the group and returns when the group knows, or
// when ctx ends; then the connection's end tells the group. The stream ends.
func (m *Member) Leave(ctx context.Context) error {
	_, err := m.conn.Call(ctx, cpgs.CallExit, nil)
	m.conn.Close()
	if errors.Is(err, session.ErrClosed) {
		return nil
	}
	return m.told(err)
}

// told names the group in an error.
func (m *Member) told(err error) error {
	if err == nil || errors.Is(err, ErrTryAgain) {
		return err
	}
	return fmt.Errorf("cpg: group %q: %w", m.group, err)
}

// hold keeps an event back until the state is here.
func (m *Member) hold(raw session.Event) error {
	t := &m.transit
	t.heldBytes += len(raw.Body) + heldCost
	if t.heldBytes > m.cfg.Backlog {
		return fmt.Errorf("%d bytes: %w", t.heldBytes, ErrBacklog)
	}
	t.held = append(t.held, session.Event{Kind: raw.Kind, Body: slices.Clone(raw.Body)})
	return nil
}
