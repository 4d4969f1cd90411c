package events

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

func TestNumbers_OfLives(t *testing.T) {
	d := &state{}
	d.gave(number{1, 1001, 1003})
	d.gave(number{1, 5001, 5002})
	for id, known := range map[uint64]bool{1000: false, 1001: true, 1003: true, 1004: false, 5000: false, 5001: true, 5002: true, 5003: false} {
		if d.knows(1<<32|id, true) != known || d.knows(1<<32|id, false) != known || d.knows(2<<32|id, true) {
			t.Errorf("%d is known: %v", id, !known)
		}
	}
	if !d.learn(number{1, 1001, 1010}, true) || d.learn(number{1, 1001, 1009}, true) || !d.learn(number{1, 1001, 1009}, false) {
		t.Error("what is durable and what is not are known by themselves")
	}
	if w := d.weight(); w != 5002 {
		t.Errorf("weight %d", w)
	}
}

// Of very many starts of a node the oldest are not told apart any more.
func TestNumbers_AreBounded(t *testing.T) {
	d := &state{}
	for i := range uint32(maxLives + 2) {
		d.gave(number{1, 1001 + 100*i, 1003 + 100*i})
	}
	c := d.known(1)
	if len(c.lives) != maxLives || c.lives[0].first != 1001 || !d.knows(1<<32|1050, true) || d.knows(1<<32|1250, true) {
		t.Errorf("%v", c.lives)
	}
	if d.learn(number{1, 1101, 1102}, true) { // of a life that is not told apart from the next
		t.Error("what is known is learned")
	}
}

func TestNumbers_BeginAnew(t *testing.T) {
	w := start(t, 1, Config{})
	w.form(w.All())
	s, a := w.service(1), w.client(1, 9)
	a.want(service.OK, CallCreate, create("t"))
	s.supply.begin(math.MaxUint32 - 1)
	for _, want := range []uint64{math.MaxUint32, lowestNumber + 1, lowestNumber + 2} {
		answer := a.Call(CallPublish, say("t", "x").AppendTo(nil))
		w.Run()
		p, err := ParsePublishReply(answer.Body)
		if err != nil || p.ID != 1<<32|want || !s.state.knows(p.ID, true) || want < 9999 && s.state.knows(1<<32|9999, true) {
			t.Errorf("%x %v, want %x", p.ID, err, want)
		}
	}
}

// No number is given before a later start of the node would begin above it.
func TestNumbers_WaitForTheStore(t *testing.T) { test(t, numbersAgain) }

func numbersAgain(t servicetest.T) {
	w := start(t, 1, Config{Store: &memory{}})
	w.form(w.All())
	a := w.client(1, 9)
	a.want(service.OK, CallCreate, create("t"))
	for range 3 * leastSupply { // it is asked for more in time
		a.want(service.OK, CallPublish, say("t", "x"))
		w.stores[1].supply()
	}
	n := 0
	for a.code(CallPublish, say("t", "x")) == service.OK {
		if n++; n > 9*leastSupply {
			t.Fatalf("%d numbers are given, and none is set aside", n)
		}
	}
	w.stores[1].supply()
	a.want(service.OK, CallPublish, say("t", "x"))
	last := w.service(1).supply.last
	w.Crash(1)
	w.Restart(1)
	if n := w.service(1).supply.last; n < last {
		t.Fatalf("begins above %d, %d was given", n, last)
	}
}

// A node that forgot begins above what the others know of it, with numbers that are set
// aside for that life; also where a store knows no more of a life than that it was.
func TestNumbers_AboveWhatOthersKnow(t *testing.T) {
	w := start(t, 1, Config{Store: &memory{}})
	s, m := w.service(1), w.stores[1]
	p := &s.supply
	p.begin(lowestNumber)
	s.reserve()
	c := s.state.counter(1)
	c.lives = []life{{1001, [2]uint32{1009, 1009}}, {9001, [2]uint32{9002, 0}}}
	c.lives = c.durable().lives
	if n, ok := s.next(); n.n != 9002 || ok {
		t.Errorf("%v %v", n, ok)
	}
	m.supplies[0]()
	if _, ok := s.next(); ok {
		t.Error("it gives a number that is not set aside")
	}
	m.supplies[1]()
	if n, ok := s.next(); n.n != 9002 || !ok {
		t.Errorf("%v %v", n, ok)
	}
}

// publishes has an event be durable at its publisher.
func (w *world) publishes(n servicetest.NodeID, texts ...string) {
	a := w.client(n, 9)
	for _, text := range texts {
		answer := a.Call(CallPublish, say("t", text).AppendTo(nil))
		w.Run()
		w.stores[n].sync()
		if answer.Code != service.OK {
			w.t.Fatalf("%q at node %d: %v", text, n, answer.Code)
		}
	}
}

// keep demands that all have the same of what is durable, and these events.
func (w *world) keep(texts ...string) {
	w.t.Helper()
	for n := range w.stores {
		var kept []string
		for _, e := range w.service(n).state.topic("t").kept {
			kept = append(kept, string(e.content.Data))
		}
		slices.Sort(kept)
		if fmt.Sprint(kept) != fmt.Sprint(texts) {
			w.t.Fatalf("node %d keeps %q, want %q", n, kept, texts)
		}
	}
}

// What two clusters gave numbers to that forgot each other is not taken for the same,
// though one of them knows higher ones: all nodes end, two begin again with less than
// the third one has.
func TestDurable_HistoriesThatForgot(t *testing.T) { test(t, forgotten) }

func forgotten(t servicetest.T) {
	w := start(t, 3, Config{Store: &memory{}})
	w.form(w.All())
	w.client(1, 9).want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 99, Durable: true}})
	w.publishes(1, "1")
	less := map[servicetest.NodeID]map[string][]byte{1: maps.Clone(w.stores[1].data), 3: maps.Clone(w.stores[3].data)}
	for i := range 9 {
		w.client(1, 9).Call(CallPublish, say("t", fmt.Sprint("first ", i)).AppendTo(nil))
		w.Run()
	}
	for _, n := range w.All() {
		w.Crash(n)
	}
	for n, data := range less {
		w.stores[n].data, w.stores[n].pending = data, nil
		w.Restart(n)
	}
	w.form(ids{1, 3})
	w.publishes(1, "second 1", "second 2")
	for n := range less {
		w.Crash(n)
	}
	for n := range w.stores {
		w.Restart(n)
	}
	w.form(w.All())
	want := []string{"1"}
	for i := range 9 {
		want = append(want, fmt.Sprint("first ", i))
	}
	w.keep(append(want, "second 1", "second 2")...)
}

// until takes steps until something holds.
func (w *world) until(holds func() bool) {
	w.t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		if holds() {
			return
		}
		w.Step(r.IntN)
	}
	w.t.Fatalf("that never is so")
}

// What a node is to bring it brings, though its ring breaks before, it adopts another
// state again, or it starts anew.
func TestDurable_BroughtInTheEnd(t *testing.T) { test(t, broughtInTheEnd) }

func broughtInTheEnd(t servicetest.T) {
	for _, crash := range []bool{false, true} {
		w := startLoose(t, 3, Config{Store: &memory{}})
		w.form(w.All())
		w.client(1, 9).want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 99, Durable: true}})
		w.form(ids{1}, ids{2}, ids{3})
		w.publishes(1, "a", "b")
		w.publishes(2, "c")
		w.publishes(3, "d")
		w.Split(ids{1, 2}, ids{3})
		one, other := servicetest.NodeID(1), servicetest.NodeID(2)
		w.until(func() bool { return len(w.service(1).brings)+len(w.service(2).brings) > 0 })
		if len(w.service(2).brings) > 0 {
			one, other = other, one
		}
		if crash {
			w.Crash(one)
			w.Restart(one)
		}
		w.Split(ids{one, 3}, ids{other})
		w.rest()
		w.form(w.All())
		w.keep("a", "b", "c", "d")
		for n, m := range w.stores {
			for key := range m.data {
				if key[0] == keyBring {
					t.Fatalf("%x is to be brought still by node %d", key, n)
				}
			}
		}
	}
}
