package groups

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/service/servicetest"
)

// adapted has nodes with an adapter in each of two networks.
func adapted(t *testing.T, n int) *world {
	w := start(t, n)
	for _, id := range w.All() {
		w.adapters(id, true, true)
	}
	return w
}

// adapters says which adapters of a node are up.
func (w *world) adapters(node servicetest.NodeID, up ...bool) {
	var list []Adapter
	for i, u := range up {
		list = append(list, Adapter{uint8(i), netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", i, node)), fmt.Sprint("en", i), u})
	}
	w.Node(node).Service(ID).(*Service).SetAdapters(list)
	w.settle()
}

func TestAdapterGroups_FollowTheAdapters(t *testing.T) {
	w := adapted(t, 3)
	s, u := w.client(1), w.client(2)
	w.settle()
	s.subscribe(0, enMembership, wantBits)
	u.subscribe(0, "en1Membership", WantDeltaLeaves|WantDeltaJoins)
	s.saw(`SU S|M full=0/1,0/2,0/3 ""`)
	w.adapters(2, true, false)
	u.saw("SU DL chg=1/2")
	w.adapters(1, true, false)
	w.adapters(2, true, true)
	u.saw("SU DL chg=1/1", "SU DJ chg=1/2")
	w.adapters(3, false, true)
	w.adapters(3, true, true)
	s.saw("SU DL|M full=0/1,0/2 chg=0/3", "SU DJ|M full=0/1,0/2,0/3 chg=0/3")
	v := w.client(3)
	v.subscribe(0, "en1Membership", WantMembership)
	v.saw("SU M full=1/3,1/2")
	v.subscribe(1, cssMembership, WantMembership)
	v.saw("SU M full=")
	v.wants(v.join(2, "en7Membership", 1, g1), InvalidGroup)
}

func TestAdapterGroups_FollowTheNodes(t *testing.T) {
	w := adapted(t, 3)
	s := w.client(1)
	w.settle()
	s.subscribe(0, enMembership, wantBits)
	s.forget()
	w.Crash(2)
	w.Split([]servicetest.NodeID{1, 3})
	w.settle()
	s.saw("SU DL|M full=0/1,0/3 chg=0/2")
	w.Restart(2)
	w.Split(w.All())
	w.settle()
	w.adapters(2, true, true)
	s.saw("SU DJ|M full=0/1,0/3,0/2 chg=0/2")
}

// In a merge the side that is dissolved sees what is different on the other one.
func TestAdapterGroups_Merge(t *testing.T) {
	w := adapted(t, 3)
	s, u := w.client(1), w.client(3)
	w.settle()
	s.subscribe(0, enMembership, WantMembership|WantDeltaJoins|WantDeltaLeaves)
	u.subscribe(0, enMembership, WantMembership)
	w.forget()
	w.Split(nodes{1}, nodes{2, 3})
	w.settle()
	s.saw("SU DL|M full=0/1 chg=0/2,0/3")
	u.saw("SU M full=0/2,0/3")
	w.Split(w.All())
	w.settle()
	u.saw("SU M full=0/2,0/3,0/1")
	if got := s.log[len(s.log)-1]; got != "SU DJ|M full=0/2,0/3,0/1 chg=0/1" {
		t.Errorf("the last that the other side saw is %q", got)
	}
	w.Check()
}

// Adapters that were taken out of the configuration are told apart from those
// that failed, if there are any.
func TestAdapterGroups_Removed(t *testing.T) {
	w := adapted(t, 2)
	s := w.client(1)
	w.settle()
	s.subscribe(0, "en1Membership", WantDeltaLeaves)
	var seen []Special
	s.watch = func(_ uint16, _ int32, e any, _ string) { seen = e.(Subscription).Special }
	w.adapters(2, true, false)
	if s.saw("SU DL chg=1/2"); seen != nil {
		t.Errorf("a failure comes with %v", seen)
	}
	w.adapters(2, true, true)
	w.adapters(2, true)
	s.saw("SU DL|SD chg=1/2")
	if want := (Special{AdapterDeath, 4, []byte{byte(AdapterRemoved), 0, 0, 0}}); len(seen) != 1 || seen[0].Flag != want.Flag || seen[0].Size != want.Size || !slices.Equal(seen[0].Data, want.Data) {
		t.Errorf("got %v", seen)
	}
}

// A change that is taken back while all are being told of it is told as well.
func TestAdapterGroups_ThereAndBack(t *testing.T) {
	w := adapted(t, 2)
	s := w.client(1)
	w.settle()
	s.subscribe(0, enMembership, WantMembership)
	s.forget()
	svc := w.Node(2).Service(ID).(*Service)
	up := slices.Clone(svc.adapters)
	down := slices.Clone(up)
	down[0].Up = false
	svc.SetAdapters(down)
	svc.SetAdapters(up)
	w.settle()
	s.saw("SU M full=0/1", "SU M full=0/1,0/2")
}

// Who wants the table of adapters has it after hello, and again when it changes.
func TestAdapterTable(t *testing.T) {
	w := adapted(t, 2)
	l := w.clientWith(1, HelloRequest{Adapters: true})
	w.settle()
	l.saw("AT ", "AT 10.0.0.1=1:en0 10.0.1.1=1:en1", "AT 10.0.0.1=1:en0 10.0.1.1=1:en1 10.0.0.2=2:en0 10.0.1.2=2:en1")
	w.adapters(2, true, false)
	l.saw()
	w.adapters(2, true)
	l.saw("AT 10.0.0.1=1:en0 10.0.1.1=1:en1 10.0.0.2=2:en0")
}

func showTable(a Adapters) string {
	var list []string
	for _, x := range a.List {
		list = append(list, fmt.Sprintf("%v=%d:%s", x.Addr, x.Node, x.Interface))
	}
	return "AT " + strings.Join(list, " ")
}

// What a node says of its adapters is bounded before it is sent.
func TestSetAdapters_Bounds(t *testing.T) {
	s := New(Config{})
	s.SetAdapters([]Adapter{{Network: 1, Interface: strings.Repeat("\xff", 99)}, {Network: MaxNetworks}, {Network: 0, Addr: netip.MustParseAddr("fe80::1%eth0")}})
	if len(s.adapters) != 2 || s.adapters[0].Addr.Zone() != "" || len(s.adapters[1].Interface) > MaxInterface {
		t.Errorf("%+v", s.adapters)
	}
}

// An address that says nothing is none: all know the same of it, and it is told once.
func TestSetAdapters_NoAddress(t *testing.T) {
	w := start(t, 2)
	w.client(1)
	w.Node(1).Service(ID).(*Service).SetAdapters([]Adapter{{Network: 0, Addr: netip.IPv6Unspecified(), Up: true}})
	w.Run()
	if s := w.Node(1).Service(ID).(*Service); !slices.Equal(s.d.adaptersOf(1), s.adapters) {
		t.Errorf("%+v, known are %+v", s.adapters, s.d.adaptersOf(1))
	}
}
