package outside

import (
	"slices"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

const id = 40

// alone is one node with the service, and who was given up.
func alone(t *testing.T) (c *servicetest.Cluster, gone *[]int32) {
	t.Helper()
	gone = new([]int32)
	c = servicetest.New(t, 1, func(servicetest.NodeID) []service.Service {
		return []service.Service{New(Config{ID: id, Name: "book", Gone: func(pid int32, _ string) { *gone = append(*gone, pid) }})}
	})
	c.Run()
	return c, gone
}

func register(c *servicetest.Conn, r Register) service.Code {
	return c.Call(CallRegister, r.AppendTo(nil)).Code
}

var right = Register{Protocol: Protocol, ID: id, Name: "book"}

// process1 is a connection that has registered, with its first configuration.
func process1(t *testing.T, c *servicetest.Cluster) *servicetest.Conn {
	t.Helper()
	p := c.Node(1).Open(id)
	c.Node(1).Service(id).(*Service).Expect(int32(p.ID()))
	if code := register(p, right); code != service.OK {
		t.Fatal(code)
	}
	c.Run()
	v := last(t, p, EventView, ParseView)
	if v.Transitional || len(v.Members) != 1 || len(v.Joined) != 1 {
		t.Fatalf("%+v", v)
	}
	return p
}

// last parses the last event of a kind.
func last[T any](t *testing.T, c *servicetest.Conn, kind uint16, parse func([]byte) (T, error)) (v T) {
	t.Helper()
	for i := len(c.Events) - 1; i >= 0; i-- {
		if c.Events[i].Kind == kind {
			v, err := parse(c.Events[i].Body)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no event %d", kind)
	return v
}

func TestRegister_Refused(t *testing.T) {
	c, _ := alone(t)
	s := c.Node(1).Service(id).(*Service)
	p := c.Node(1).Open(id)
	if code := register(p, right); code != service.ErrAccess {
		t.Errorf("nobody is expected: %v", code)
	}
	s.Expect(int32(p.ID()) + 1)
	if code := register(p, right); code != service.ErrAccess {
		t.Errorf("another is expected: %v", code)
	}
	if a := p.Call(CallReady, Ready{}.AppendTo(nil)); a.Code != service.ErrAccess {
		t.Errorf("a word of a client: %v", a.Code)
	}
	s.Expect(int32(p.ID()))
	for want, r := range map[service.Code]Register{
		service.ErrVersion:      {Protocol: Protocol + 1, ID: id, Name: "book"},
		service.ErrInvalidParam: {Protocol: Protocol, ID: id, Name: "cook"},
	} {
		if code := register(p, r); code != want {
			t.Errorf("%+v: %v, want %v", r, code, want)
		}
	}
	if a := p.Call(CallRegister, []byte{1}); a.Code != service.ErrMessageError {
		t.Errorf("nonsense: %v", a.Code)
	}
	if code := register(p, right); code != service.OK {
		t.Error(code)
	}
	if code := register(p, right); code != service.ErrExist && code != service.ErrAccess {
		t.Errorf("twice: %v", code)
	}
	if !p.Open() {
		t.Error("the process was cut off")
	}
}

// What breaks the protocol ends the process, and the agent goes on.
func TestProcess_Misbehaves(t *testing.T) {
	many := func(p *servicetest.Conn) {
		p.Node().Full = true // nothing leaves
		m := Multicast{Part: Normal, Body: make([]byte, MaxBody)}.AppendTo(nil)
		for range Window/MaxBody + 3 {
			p.Call(CallMulticast, m)
		}
		p.Node().Full = false
	}
	for name, misbehave := range map[string]func(p *servicetest.Conn){
		"nonsense":       func(p *servicetest.Conn) { p.Call(CallPush, []byte{1}) },
		"no part":        func(p *servicetest.Conn) { p.Call(CallMulticast, make([]byte, 40)[:3]) },
		"took too many":  func(p *servicetest.Conn) { p.Call(CallTook, Count{1}.AppendTo(nil)) },
		"too much":       many,
		"takes nothing":  func(p *servicetest.Conn) { p.Overflow = true; p.Node().Open(id) },
		"its connection": func(p *servicetest.Conn) { p.Leave() },
	} {
		c, gone := alone(t)
		p := process1(t, c)
		client := c.Node(1).Open(id)
		misbehave(p)
		c.Run()
		if p.Open() || client.Open() || len(*gone) != 1 || (*gone)[0] != int32(p.ID()) {
			t.Errorf("%s: process %v, client %v, gone %v", name, p.Open(), client.Open(), *gone)
		}
		process1(t, c) // another one may come
	}
}

func TestProcess_DoesNotAnswer(t *testing.T) {
	c, gone := alone(t)
	p := process1(t, c)
	c.Advance(DefaultTimeout)
	ping := last(t, p, EventPing, ParseCount)
	p.Call(CallPong, ping.AppendTo(nil))
	c.Advance(DefaultTimeout)
	if ping = last(t, p, EventPing, ParseCount); ping.N != 2 || !p.Open() {
		t.Fatalf("%+v", ping)
	}
	p.Call(CallPong, Count{1}.AppendTo(nil)) // of the first one
	c.Advance(DefaultTimeout - time.Second)
	if !p.Open() {
		t.Error("too early")
	}
	c.Advance(time.Second)
	if p.Open() || len(*gone) != 1 {
		t.Errorf("it goes on: %v", *gone)
	}
}

// A process that is there but never registers is ended, once.
func TestProcess_DoesNotRegister(t *testing.T) {
	c, gone := alone(t)
	c.Node(1).Service(id).(*Service).Expect(4711)
	c.Advance(DefaultTimeout + time.Second)
	if len(*gone) != 0 {
		t.Errorf("too early: %v", *gone)
	}
	c.Advance(2 * DefaultTimeout)
	if !slices.Equal(*gone, []int32{4711}) {
		t.Errorf("%v", *gone)
	}
	p := process1(t, c)
	p.Leave()
	c.Advance(3 * DefaultTimeout)
	if !slices.Equal(*gone, []int32{4711, int32(p.ID())}) {
		t.Errorf("one that ended is awaited: %v", *gone)
	}
}

// Calls wait for a process that is ready, and while it does not take them.
func TestCallsWait(t *testing.T) {
	c, _ := alone(t)
	client := c.Node(1).Open(id)
	first := client.Call(0, []byte("x"))
	p := process1(t, c)
	if first.Done || !client.Waiting() {
		t.Fatal("a call came before the process was ready")
	}
	p.Call(CallReady, Ready{last(t, p, EventView, ParseView).Ring}.AppendTo(nil))
	c.Run()
	q := last(t, p, EventCall, ParseCall)
	if client.Waiting() || string(q.Body) != "x" || q.Conn != client.ID() {
		t.Fatalf("%+v", q)
	}
	p.Call(CallReply, Reply{No: q.No, Code: service.ErrExist, Body: []byte("y")}.AppendTo(nil))
	p.Call(CallReply, Reply{No: q.No, Code: service.OK}.AppendTo(nil)) // nobody waits for it any more
	if !first.Done || first.Code != service.ErrExist || string(first.Body) != "y" {
		t.Errorf("%+v", first)
	}
	calls := 1
	for ; !client.Waiting(); calls++ {
		client.Call(0, make([]byte, MaxCalls/4))
	}
	if calls < 4 || calls > 7 {
		t.Errorf("%d calls", calls)
	}
	p.Call(CallTook, Count{2}.AppendTo(nil))
	c.Run()
	if client.Waiting() {
		t.Error("a call waits though there is room")
	}
	p.Call(CallPush, Push{Conn: client.ID(), Kind: 5, Body: []byte("z")}.AppendTo(nil))
	if e := client.Events; len(e) != 1 || e[0].Kind != 5 || string(e[0].Body) != "z" {
		t.Errorf("%v", e)
	}
	p.Call(CallClose, Close{Conn: client.ID(), Code: service.ErrBusyCode}.AppendTo(nil))
	c.Run()
	if client.Closed() != service.ErrBusyCode || last(t, p, EventClosed, ParseCount).N != client.ID() {
		t.Errorf("closed: %v", client.Closed())
	}
}

// What a process multicasts is acknowledged as the ring takes it.
func TestMulticastIsAcknowledged(t *testing.T) {
	c, _ := alone(t)
	p := process1(t, c)
	m := Multicast{Part: Normal, Func: 3, Src: service.Source{Node: 1, Conn: 9, Tag: 2}, Body: []byte("x")}
	p.Call(CallMulticast, m.AppendTo(nil)) // waits: it is not ready
	p.Call(CallReady, Ready{last(t, p, EventView, ParseView).Ring}.AppendTo(nil))
	p.Node().Full = true
	p.Call(CallMulticast, Multicast{Part: Normal, Func: 4, Safe: true, Body: []byte("y")}.AppendTo(nil))
	c.Run()
	if n := last(t, p, EventSent, ParseCount).N; n != uint64(Cost(1)) {
		t.Errorf("%d", n)
	}
	got := last(t, p, EventMessage, ParseMessage)
	if got.Func != 3 || got.Src != m.Src || got.From != 1 || string(got.Body) != "x" {
		t.Errorf("%+v", got)
	}
	p.Node().Full = false
	c.Advance(retry)
	c.Run()
	if got = last(t, p, EventMessage, ParseMessage); got.Func != 4 || !got.Safe {
		t.Errorf("%+v", got)
	}
	if n := last(t, p, EventSent, ParseCount).N; n != uint64(2*Cost(1)) {
		t.Errorf("%d", n)
	}
}
