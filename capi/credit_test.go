package capi_test

import (
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/moothall/moothall/internal/door/native/frame"
	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/service"
)

// miser is an agent that lets one request come at a time, and after hold none, until it
// pays. Meanwhile nothing that is opened is answered.
type miser struct {
	opened, ended chan uint32 // by clients, or asked for

	mu    sync.Mutex // guards what follows
	sock  net.Conn
	holds bool
	owes  uint32
}

func newMiser() *miser { return &miser{opened: make(chan uint32, 16), ended: make(chan uint32, 16)} }

func (m *miser) serve(_ int, sock net.Conn) {
	m.mu.Lock()
	m.sock = sock
	m.mu.Unlock()
	l := liar{random: rand.New(rand.NewPCG(1, 15)), sock: sock, packet: frame.MaxPacket, window: 1, calls: 1 << 20, reply: m.reply, credit: m.credit}
	l.serve(nil)
}

func (m *miser) credit(size uint32) uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holds {
		m.owes += size
		return 0
	}
	return size
}

func (m *miser) reply(q frame.Call) (service.Code, []byte) {
	membership := events.Fact{Kind: events.NewMembership, Seq: 1, Trans: 1, Quorate: true, Members: []events.Member{{ID: 1, Born: 1, Since: 1, Name: "one", Addr: loopback, Boot: 5}}}
	switch q.Func {
	case events.CallOpen:
		return service.OK, events.OpenReply{Self: 1, Configured: 1}.AppendTo(nil)
	case events.CallStatus:
		return service.OK, events.StatusReply{State: events.Primary, Fact: membership}.AppendTo(nil)
	case events.CallTake:
		return service.OK, events.TakeReply{Primary: true}.AppendTo(nil)
	case events.CallEnd:
		if e, err := events.ParseSub(q.Body); err == nil {
			m.ended <- e.Sub
		}
	case events.CallEnter:
		if e, err := events.ParseEnter(q.Body); err == nil {
			m.opened <- e.Sub
		}
		return 0, nil
	}
	return service.OK, nil
}

func (m *miser) hold() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holds = true
}

func (m *miser) pay(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.sock.Write(frame.Credit{Bytes: m.owes}.AppendTo(nil, 1)); err != nil {
		t.Fatal(err)
	}
	m.holds, m.owes = false, 0
}

// A time limit counts also for the time in which the agent lets no requests come. What
// does not wait is refused then, and what is to be taken back is when the agent lets it
// come.
func TestEvtTimeLimit_WithoutCredit(t *testing.T) {
	m := newMiser()
	p := impostor(t, m.serve).speaker(t, 1, evtProgram(t, memory))
	p.does("init 0 -> OK B31")
	m.hold()
	p.does("open 0 0 c ps 50000000 -> TIMEOUT", "open 0 1 c ps 50000000 -> TIMEOUT", "start 0 2 c ps -> TRY_AGAIN")
	opened := <-m.opened
	m.pay(t)
	p.does("all 0 -> OK")
	if ended := <-m.ended; ended != opened || len(m.opened)+len(m.ended) != 0 {
		t.Errorf("%d was opened, %d ended, and %d and %d more", opened, ended, len(m.opened), len(m.ended))
	}
	p.does("finalize 0")
}

func TestClmTimeLimit_WithoutCredit(t *testing.T) {
	m := newMiser()
	c := impostor(t, m.serve).talk(t, 1, aisProgram(t, memory, "SaClm", "testdata/clm.c")).begin("")
	m.hold()
	for _, want := range []string{"briefly OK 1@2", "briefly TIMEOUT", "briefly TIMEOUT"} {
		c.is("briefly 1", want)
	}
	m.pay(t)
	if got := c.does("get 1"); !strings.HasPrefix(got, "get OK 1@") {
		t.Error(got)
	}
	c.ends()
}
