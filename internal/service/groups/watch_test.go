package groups

import (
	"slices"
	"testing"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/servicetest"
)

func TestHosts_InTheOrderTheyCame(t *testing.T) {
	w := start(t, 3)
	s := w.client(1)
	s.subscribe(0, HostMembership, wantBits)
	s.saw(`SU S|M full=0/1,0/2,0/3 ""`)
	w.Crash(3)
	w.Split([]servicetest.NodeID{1, 2})
	w.settle()
	s.saw("SU DL|M full=0/1,0/2 chg=0/3")
	w.Restart(3)
	w.Split(w.All())
	w.settle()
	s.saw("SU DJ|M full=0/1,0/2,0/3 chg=0/3")
	w.Crash(1)
	w.Split([]servicetest.NodeID{2, 3})
	w.settle()
	s = w.client(3)
	w.Restart(1)
	w.Split(w.All())
	w.settle()
	s.subscribe(0, HostMembership, WantMembership)
	s.saw("SU M full=0/2,0/3,0/1")
}

// Who was on the losing side is told who left, then who came; the list is that of
// now in both.
func TestHosts_Merge(t *testing.T) {
	w := start(t, 5)
	s := w.client(4)
	w.Split(nodes{1, 2, 3}, nodes{4, 5})
	w.settle()
	s.subscribe(0, HostMembership, wantBits)
	w.forget()
	w.Crash(5)
	w.Split(nodes{1, 2, 3, 4})
	w.settle()
	s.saw("SU DL|M full=0/1,0/2,0/3,0/4 chg=0/5", "SU DJ|M full=0/1,0/2,0/3,0/4 chg=0/1,0/2,0/3")
}

// A node whose number no provider can have is nobody else.
func TestHosts_LargeNumbers(t *testing.T) {
	got := hostProviders([]proto.NodeID{1, 32767, 32768, 65535, 65537, 1<<32 - 2})
	if want := []Provider{{0, 1}, {0, 32767}}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	s := &Service{self: 65537}
	s.SetAdapters([]Adapter{{Network: 0, Up: true}})
	if s.adapters != nil {
		t.Errorf("%+v", s.adapters)
	}
}

type nodes = []servicetest.NodeID

// five has a provider on each of five nodes, and a subscriber on node 5.
func five(t servicetest.T, a Attributes) (w *world, p []*lib, s *lib) {
	w = start(t, 5)
	for id := range servicetest.NodeID(5) {
		p = append(p, w.joined(id+1, "g", 1, a))
	}
	s = w.client(5)
	s.subscribe(0, "g", WantMembership)
	s.subscribe(1, HostMembership, WantDeltaJoins|WantDeltaLeaves)
	w.forget()
	return w, p, s
}

// What was on its way in a dissolved part is void, and the calls are answered.
func TestMerge_MessagesOfTheLosersAreVoid(t *testing.T) { losersAreVoid(t) }

func losersAreVoid(t servicetest.T) {
	w, p, _ := five(t, g1)
	w.Split(nodes{1, 2, 3}, nodes{4, 5})
	w.settle()
	late := w.client(4)
	w.forget()
	p[3].state(OnePhase, 0, "x")
	late.join(0, "other", 1, g1)
	bye := p[4].Call(CallGoodbye, TokenRequest{0}.AppendTo(nil))
	w.Cut = func(int) int { return 0 }
	w.Split(w.All())
	w.settle()
	p[3].saw("AN GD [1/4,1/5] end")
	late.saw("DE join 1 end")
	if !bye.Done {
		t.Fatalf("the goodbye is not answered")
	}
	if got := w.Node(1).Service(ID).(*Service).d.group("other"); got != nil {
		t.Fatalf("a void join made %+v", got)
	}
	all(p[:3])
}

// A node that comes amidst a phase gets the votes with the snapshot.
func TestSync_AmidstAPhase(t *testing.T) {
	w, p, _ := five(t, g1)
	w.Split(nodes{1, 2, 3, 4})
	w.settle()
	p[1].quiet = true
	p[0].state(NPhase, 3, "x")
	w.settle()
	w.forget()
	w.Split(w.All())
	w.settle()
	p[4].saw("AN GD [1/5] end")
	w.later(3 * time.Second)
	all(p[:4], `AP state 1 DA|TL US cur=1/1,1/2,1/3,1/4 "x" prop="x"`, "AN TL [1/2]")
}
