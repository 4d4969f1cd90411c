package events

import (
	"testing"

	"github.com/moothall/moothall/service"
)

// givesUp are two parts, of which the first, 1 and 2, gives up its state as they meet: node 1
// made a durable topic there, and node 2 published "e".
func givesUp(t *testing.T) *world {
	w := startLoose(t, 4, Config{Store: &memory{}})
	w.form(ids{1, 2}, ids{3, 4})
	w.client(1, 9).want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 99, Durable: true}})
	w.publishes(2, "e")
	w.form(ids{1, 2}, ids{3}, ids{4})
	w.form(ids{1, 2}, ids{3, 4})
	return w
}

// Who brings an event of a topic brings the topic, too, though another one made it: that
// one may be slower.
func TestBrings_TopicOfAnother(t *testing.T) {
	for _, slow := range (ids{1, 2}) {
		w := givesUp(t)
		w.Split(w.All())
		w.until(func() bool { return len(w.service(1).brings) > 0 && len(w.service(2).brings) > 0 })
		w.Node(slow).Full = true
		w.Run()
		w.Node(slow).Full = false
		w.rest()
		w.keep("e")
	}
}

// What is left to bring of an earlier state goes behind what was brought of it before,
// also to who knows nothing of either.
func TestBrings_InTwoSteps(t *testing.T) {
	for _, crash := range []bool{false, true} {
		w := startLoose(t, 4, Config{Store: &memory{}})
		w.form(w.All())
		w.client(1, 9).want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 99, Durable: true}})
		w.form(ids{1}, ids{2}, ids{3, 4})
		w.publishes(1, "a", "b")
		w.publishes(2, "c", "d", "e", "f")
		w.Split(ids{1, 2}, ids{3, 4})
		one := w.service(1)
		w.until(func() bool { return len(one.brings) > 0 })
		all := len(one.brings)
		w.until(func() bool { return len(one.brings) < all })
		if len(one.brings) == 0 || one.brings[0].event == nil {
			t.Fatal("nothing is left to bring")
		}
		if crash {
			w.Crash(1)
			w.Restart(1)
		}
		w.Split(ids{2}, ids{1, 3, 4})
		w.rest()
		w.form(w.All())
		w.keep("a", "b", "c", "d", "e", "f")
	}
}

// The store of a node knows what its state does, and not what the one did that it gave up:
// of that, what others are to bring would be known, though it is not there.
func TestBrings_StoreKnowsNoMore(t *testing.T) {
	w := startLoose(t, 4, Config{Store: &memory{}})
	w.form(w.All())
	w.client(1, 9).want(service.OK, CallCreate, CreateRequest{[]byte("t"), Options{Keep: 99, Durable: true}})
	w.form(ids{1, 2}, ids{3}, ids{4})
	w.form(ids{1, 2}, ids{3, 4})
	w.publishes(2, "e")
	w.form(ids{1, 2}, ids{3}, ids{4})
	w.form(ids{1, 2}, ids{3, 4})
	w.Split(w.All())
	w.until(func() bool { return len(w.service(2).brings) > 0 })
	w.Node(2).Full = true
	w.until(func() bool { return len(w.service(1).state.topic("t").kept) == 0 })
	for _, n := range w.All() {
		w.Crash(n)
	}
	w.Restart(1)
	w.Restart(2)
	w.form(ids{2}, ids{1})
	if !w.service(1).state.has(&brought{what: bringTopic, name: "t"}) {
		t.Fatal("no topic")
	}
	w.form(ids{1, 2})
	for _, n := range (ids{3, 4}) {
		w.Restart(n)
	}
	w.form(w.All())
	w.keep("e")
}

// A durable topic that is brought to where somebody is in a group by that name is one there.
func TestBrings_TopicOfGroup(t *testing.T) {
	w := givesUp(t)
	w.client(3, 9).join("t")
	w.rest()
	w.form(w.All())
	w.keep("e")
	for _, n := range w.All() {
		w.Crash(n)
		w.Restart(n)
	}
	w.form(w.All())
	w.keep("e")
}

// What one of two brings that had the same is not lost with it.
func TestDurable_TheOtherEnds(t *testing.T) {
	w := givesUp(t)
	w.Split(w.All())
	w.until(func() bool { return len(w.service(1).brings) > 0 && len(w.service(2).brings) > 0 })
	w.Crash(2)
	delete(w.stores, 2)
	w.form(ids{1, 3, 4})
	w.keep("e")
}
