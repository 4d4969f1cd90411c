package interop

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/config"
	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/cpg/cpgtest"
	"github.com/moothall/moothall/internal/bench"
	"github.com/moothall/moothall/internal/door/corosync/qb/qbtest"
	"github.com/moothall/moothall/internal/proto"
	cpgs "github.com/moothall/moothall/internal/service/cpg"
	"github.com/moothall/moothall/internal/session"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/service"
)

// The conformance suite of package cpg through the Corosync door, as far as
// libcpg's protocol goes: package cpg runs on a session that says with libcpg's
// requests what those can say, and refuses the rest.
func TestConformance_CorosyncDoor(t *testing.T) {
	needTool(t, "nft")
	testenv.OnStage(t, 3, func(t *testing.T, stage *bench.Stage) {
		s := newSite(t, stage, "token: 1000", "", "")
		s.startAll()
		cpgtest.Run(t, func(t *testing.T) *cpgtest.Cluster {
			here := *s
			here.t = t
			for _, a := range here.agents {
				if !a.process.Running() {
					a.start()
				}
			}
			c := &cpgtest.Cluster{Libcpg: true, Split: here.split, Kill: func(id cpg.NodeID) { s.agents[id-1].kill() }}
			c.Heal = func() { here.split([]cpg.NodeID{1, 2, 3}) }
			c.Heal()
			for _, a := range s.agents {
				c.Clients = append(c.Clients, cpg.New(libcpg{a.node}))
			}
			return c
		})
	})
}

// split cuts nodes into sides and waits until each is a ring.
func (s *site) split(sides ...[]config.NodeID) {
	s.t.Helper()
	side := map[config.NodeID]int{}
	for i, list := range sides {
		for _, id := range list {
			side[id] = i
		}
	}
	for _, a := range s.agents {
		var rules []string
		for _, b := range s.agents {
			if side[a.id] != side[b.id] {
				rules = append(rules, fmt.Sprintf("ip saddr %v drop", b.node.Addr))
			}
		}
		if err := testenv.Filter(a.node, rules); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, list := range sides {
		s.formed(list...)
	}
}

// libcpg leads to the Corosync door of a node.
type libcpg struct{ node *bench.Node }

func (l libcpg) Done() <-chan struct{} { return nil }
func (l libcpg) Err() error            { return nil }

// Open connects as libcpg does, from within the node's network.
func (l libcpg) Open(ctx context.Context, id uint16) (session.Conn, error) {
	if id != cpgs.ID {
		return nil, service.ErrNotExist
	}
	var c *qbtest.Client
	err := l.node.Inside(func() (err error) {
		c, err = qbtest.DialIn(l.node.Path(""), "cpg", 1<<20)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &libcpgConn{c: c, pid: lastPID.Add(1), closed: make(chan struct{})}, nil
}

// lastPID numbers members: two of one process are told apart by it.
var lastPID atomic.Uint32

// libcpgConn is one connection.
type libcpgConn struct {
	c   *qbtest.Client
	pid uint32

	requests sync.Mutex // held for a request with its answer
	group    []byte

	events  sync.Mutex // held while events are taken, and to close
	pending []session.Event
	closed  chan struct{}
	once    sync.Once
}

// Requests, answers and events of libcpg (corosync-ipc 2.1).
const (
	libcpgJoin, libcpgLeave, libcpgMcast, libcpgLocal           = 0, 1, 2, 4
	libcpgConfchg, libcpgDeliver, libcpgPartial                 = 4, 5, 17
	deliverHead, partialHead, confchgHead, processSize, pieceOf = 184, 200, 184, 24, 100 * time.Millisecond
)

var little = binary.LittleEndian

// name is a cpg_name behind a request's header, with a number behind it.
func (l *libcpgConn) named(id int32, group []byte, size int) []byte {
	b := make([]byte, size-16)
	little.PutUint32(b, uint32(len(group)))
	copy(b[8:], group)
	little.PutUint32(b[136:], l.pid)
	return qbtest.Message(id, b)
}

// ask sends a request until there is room, and gives the answer.
func (l *libcpgConn) ask(msg []byte) ([]byte, error) {
	l.requests.Lock()
	defer l.requests.Unlock()
	for {
		select {
		case <-l.closed:
			return nil, session.ErrClosed
		default:
		}
		answer, err := l.c.Call(msg)
		if err == nil && service.Code(little.Uint32(answer[16:])) != service.OK {
			err = service.Code(little.Uint32(answer[16:]))
		}
		if !errors.Is(err, qbtest.ErrAgain) && !errors.Is(err, service.ErrAgain) {
			return answer, closedBy(err)
		}
		time.Sleep(time.Millisecond) // as libcpg's users do
	}
}

// closedBy says in a session's word that the connection is gone.
func closedBy(err error) error {
	if errors.Is(err, qbtest.ErrClosed) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return errors.Join(session.ErrClosed, err)
	}
	return err
}

func (l *libcpgConn) Call(ctx context.Context, fn uint16, body []byte) ([]byte, error) {
	switch fn {
	case cpgs.CallEnter:
		q, err := cpgs.ParseEnter(body)
		if err != nil || q.Stateful || q.Rank != 0 || len(q.Meta) > 0 {
			return nil, errors.Join(err, service.ErrNotSupported)
		}
		return l.enter(ctx, q.Group)
	case cpgs.CallExit:
		_, err := l.ask(l.named(libcpgLeave, l.group, 160))
		return nil, err
	}
	return nil, service.ErrNotSupported
}

// enter joins, and waits until the group knows.
func (l *libcpgConn) enter(ctx context.Context, group []byte) ([]byte, error) {
	answer, err := l.ask(qbtest.Message(libcpgLocal, nil))
	if err != nil {
		return nil, err
	}
	self := cpgs.IdentityReply{Node: proto.NodeID(little.Uint32(answer[24:])), PID: l.pid}
	l.group = group
	if _, err := l.ask(l.named(libcpgJoin, group, 168)); err != nil {
		return nil, err
	}
	l.events.Lock()
	defer l.events.Unlock()
	for len(l.pending) == 0 {
		if err := l.take(ctx); err != nil {
			return nil, err
		}
	}
	return self.AppendTo(nil), nil
}

func (l *libcpgConn) Cast(ctx context.Context, fn uint16, tag uint64, body []byte) error {
	for {
		err := l.TryCast(fn, tag, body)
		if !errors.Is(err, service.ErrTryAgain) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond): // as libcpg's users do
		}
	}
}

func (l *libcpgConn) TryCast(fn uint16, _ uint64, body []byte) error {
	if fn != cpgs.CallSend {
		return service.ErrNotSupported
	}
	l.requests.Lock()
	defer l.requests.Unlock()
	select {
	case <-l.closed:
		return session.ErrClosed
	default:
	}
	b := make([]byte, 24, 24+len(body))
	little.PutUint32(b[16:], uint32(len(body)))
	err := l.c.Send(qbtest.Message(libcpgMcast, append(b, body...)), 2)
	if errors.Is(err, qbtest.ErrAgain) {
		return service.ErrTryAgain
	}
	return closedBy(err)
}

func (l *libcpgConn) Recv(ctx context.Context, dst []session.Event) (int, error) {
	l.events.Lock()
	defer l.events.Unlock()
	for len(l.pending) == 0 {
		if err := l.take(ctx); err != nil {
			return 0, err
		}
	}
	n := copy(dst, l.pending)
	l.pending = l.pending[n:]
	return n, nil
}

// take waits for one event; it may be none for this session.
func (l *libcpgConn) take(ctx context.Context) error {
	for !l.c.Readable(pieceOf) {
		select {
		case <-l.closed:
			return session.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
	}
	select {
	case <-l.closed:
		return session.ErrClosed
	default:
	}
	msg, err := l.c.Dispatch(time.Second)
	if err != nil {
		return errors.Join(session.ErrClosed, err)
	}
	if ev, ok := understood(msg); ok {
		l.pending = append(l.pending, ev)
	}
	return nil
}

// understood says in the words of the service what libcpg is told.
func understood(msg []byte) (ev session.Event, ok bool) {
	u32 := func(at int) uint32 { return little.Uint32(msg[at:]) }
	switch u32(0) {
	case libcpgDeliver:
		from := cpgs.Process{Node: proto.NodeID(u32(168)), PID: u32(176)}
		return session.Event{Kind: cpgs.EventMessage, Body: cpgs.Received{From: from, Message: msg[deliverHead:][:u32(160)]}.AppendTo(nil)}, true
	case libcpgPartial:
		p := cpgs.PartialDeliver{Node: proto.NodeID(u32(176)), PID: u32(184), Kind: cpgs.FragmentKind(u32(192)), Total: u32(160), Fragment: msg[partialHead:][:u32(168)]}
		return session.Event{Kind: cpgs.EventPartial, Body: p.AppendTo(nil)}, true
	case libcpgConfchg:
		rest := msg[confchgHead:]
		list := func(n uint32) (list []cpgs.Process) {
			for range n {
				list = append(list, cpgs.Process{Node: proto.NodeID(little.Uint32(rest)), PID: little.Uint32(rest[8:]), Reason: cpgs.Reason(little.Uint32(rest[16:]))})
				rest = rest[processSize:]
			}
			return list
		}
		var v cpgs.View
		for _, p := range list(u32(160)) {
			p.Reason = cpgs.ReasonNone
			v.Members = append(v.Members, cpgs.ViewMember{Process: p})
		}
		v.Left = list(u32(176))
		v.Joined = list(u32(168))
		return session.Event{Kind: cpgs.EventView, Body: v.AppendTo(nil)}, true
	}
	return ev, false // of the ring, which nobody here asks for
}

func (l *libcpgConn) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.events.Lock()
		defer l.events.Unlock()
		l.requests.Lock()
		defer l.requests.Unlock()
		l.c.Close()
	})
	return nil
}
