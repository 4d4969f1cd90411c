package groups

import (
	"bytes"
	"testing"

	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

func TestHello_Refusals(t *testing.T) {
	w := start(t, 2)
	c := w.Node(2).Open(ID)
	for _, q := range []struct {
		HelloRequest
		want Code
	}{
		{HelloRequest{Domain: "other"}, ConnectFailed},
		{HelloRequest{Check: PingCheck}, BadParameter},
		{HelloRequest{Check: 9, Interval: 1, Limit: 1}, BadParameter},
		{HelloRequest{Script: "bin/true"}, BadParameter},
		{HelloRequest{Domain: "d"}, OK}, // scenario 9: it says which node it is
		{HelloRequest{}, NotOK},
	} {
		a := c.Call(CallHello, q.AppendTo(nil))
		w.Run()
		p, err := ParseHelloReply(a.Body)
		if err != nil || !a.Done || p.Code != q.want || p.Code == OK && p.Node != 2 {
			t.Errorf("%+v: %+v %v", q.HelloRequest, p, err)
		}
	}
	silent := w.Node(1).Open(ID)
	if a := silent.Call(CallJoin, JoinRequest{Group: []byte("g"), Attrs: g1}.AppendTo(nil)); a.Code != service.OK || !bytes.Equal(a.Body, Reply{NotOK}.AppendTo(nil)) {
		t.Errorf("a join before hello: %+v", a)
	}
}

func TestScenario_02_NotAllowed(t *testing.T) {
	var nobody service.Cred
	s := New(Config{Allow: func(c service.Cred) bool { nobody = c; return false }})
	c := servicetest.New(t, 1, func(servicetest.NodeID) []service.Service { return []service.Service{s} })
	c.Run()
	if err := try(func(rt servicetest.T) {
		if _, err := s.Open(fakeConn{}); err != nil {
			rt.Fatalf("%v", err)
		}
	}); err == nil || nobody.UID != 7 {
		t.Errorf("user %d was let in", nobody.UID)
	}
}

// fakeConn is a connection of user 7.
type fakeConn struct{ service.Conn }

func (fakeConn) ID() uint64         { return 1 }
func (fakeConn) Cred() service.Cred { return service.Cred{UID: 7} }

// A client is told the limits, and is the process that the kernel says it is.
func TestHello_LimitsAndProcess(t *testing.T) {
	w := start(t, 1)
	c := w.Node(1).Open(ID)
	a := c.Call(CallHello, HelloRequest{Level: Level, PID: 99}.AppendTo(nil))
	w.Run()
	if p, err := ParseHelloReply(a.Body); err != nil || p.Limits != limits {
		t.Errorf("%+v, %v", p, err)
	}
	s := w.Node(1).Service(ID).(*Service)
	if said := s.clients[0].said; said.PID != s.clients[0].conn.Cred().PID {
		t.Errorf("process %d", said.PID)
	}
}

// Before the agent ends by itself its clients hear where it is written why.
func TestAborting_TellsTheRecord(t *testing.T) {
	w := start(t, 1)
	c := w.client(1)
	silent := w.Node(1).Open(ID)
	w.Node(1).Service(ID).(*Service).Aborting("record")
	last := c.Events[len(c.Events)-1]
	if f, err := ParseFailure(last.Body); last.Kind != EventFailure || err != nil || f.Record != "record" || len(silent.Events) != 0 {
		t.Errorf("%+v, %v; who said nothing has %v", last, err, silent.Events)
	}
}

// A client that does not take its events ends, and so do its providers.
func TestOverflow_EndsTheClient(t *testing.T) {
	w, a, b := two(t, g1)
	b.Overflow = true
	a.message(OnePhase, "m")
	w.settle()
	a.saw(`AP message 1 EA UPM cur=1/1,1/2 msg="m"`, "AP failure-leave 1 EA UM cur=1/1 chg=1/2 failure")
	if b.Open() {
		t.Error("it is still connected")
	}
}

// The end of a client waits for room, and is not forgotten.
func TestGone_WaitsForRoom(t *testing.T) {
	w, a, b := two(t, g1)
	w.Node(2).Full = true
	b.Leave()
	w.settle()
	a.saw()
	w.Node(2).Full = false
	w.later(owedRetry)
	a.saw("AP failure-leave 1 EA UM cur=1/1 chg=1/2 failure")
}

// What comes later does not overtake what waits for room: here the next life of a
// program the end of the one before.
func TestOwed_IsNotOvertaken(t *testing.T) {
	w, a, b := two(t, g1)
	next := w.client(2)
	w.Node(2).Full = true
	b.Leave()
	w.settle()
	w.Node(2).Full = false
	next.join(0, "g", 1, g1)
	w.later(owedRetry)
	a.saw("AP failure-leave 1 EA UM cur=1/1 chg=1/2 failure", "AP join 1 EA UM cur=1/1,1/2 chg=1/2")
	next.saw("AP join 1 EA UM cur=1/1,1/2 chg=1/2")
}

// What is kept of clients for scripts goes with them when their side is dissolved:
// what would tell of their end is void.
func TestMerge_ForgetsWhoEnded(t *testing.T) {
	w, p, _ := five(t, g1)
	w.Split(nodes{1, 2, 3}, nodes{4, 5})
	w.settle()
	p[3].Leave()
	w.Cut = func(int) int { return 0 }
	w.Split(w.All())
	w.settle()
	if left := w.Node(4).Service(ID).(*Service).ended; len(left) != 0 {
		t.Errorf("kept %v", left)
	}
}

// Before anybody uses the service, members that meet have nothing to tell.
func TestIdle_SameDigestEverywhere(t *testing.T) {
	w := start(t, 3)
	w.Split(nodes{1}, nodes{2, 3})
	w.Run()
	first := w.Node(1).Service(ID).(*Service).SyncDigest()
	if got := w.Node(2).Service(ID).(*Service).SyncDigest(); got != first || first == (service.Digest{}) {
		t.Errorf("digests %x and %x", first, got)
	}
}
