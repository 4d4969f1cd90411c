package executive

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/events"
	quorumservice "github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/service"
)

// listener is a client of the event service: what it is told is kept.
type listener struct {
	t      *testing.T
	core   *Core
	h      *Handle
	facts  []string
	told   []string // of topic t, by seq and id
	last   uint64
	closed bool
}

func (l *listener) Push(kind uint16, b []byte) {
	switch kind {
	case events.EventFact:
		e, err := events.ParseMember(b)
		if err != nil {
			l.t.Fatal(err)
		}
		var ids []NodeID
		for _, m := range e.Fact.Members {
			ids = append(ids, m.ID)
		}
		l.facts = append(l.facts, fmt.Sprintf("%v %d %v", e.Fact.Kind, e.Fact.Seq, ids))
	case events.EventMessage:
		e, err := events.ParseMessage(b)
		if err != nil {
			l.t.Fatal(err)
		}
		if l.last != 0 && e.Seq != l.last+1+e.Missed {
			l.t.Fatalf("%d comes after %d with %d missed", e.Seq, l.last, e.Missed)
		}
		l.last = e.Seq
		l.told = append(l.told, fmt.Sprintf("%d %x %s", e.Seq, e.ID, e.Content.Data))
	}
	if l.h != nil {
		l.h.Taken(1)
	}
}

func (l *listener) Flow(bool)    {}
func (l *listener) Closed(error) { l.closed = true }

// listen connects to a node and registers for the membership.
func (m *member) listen() *listener {
	m.w.t.Helper()
	l := &listener{t: m.w.t, core: m.core}
	h, code := m.core.Open(events.ID, service.Cred{PID: int32(m.id)}, l)
	if code != service.OK {
		m.w.t.Fatal(code)
	}
	l.h = h
	l.call(events.CallOpen, 1, events.OpenRequest{Window: 1 << 20}.AppendTo(nil), nil)
	l.call(events.CallRegister, 2, events.RegisterRequest{Sub: 1, Class: events.Memb}.AppendTo(nil), nil)
	m.core.Flush(m.w.now)
	return l
}

func (l *listener) call(fn uint16, tag uint64, b []byte, reply func(service.Code, []byte)) {
	if err := l.h.Call(fn, tag, b, reply); err != nil {
		l.t.Fatal(err)
	}
}

func newEvents() service.Service {
	return events.New(events.Config{Settings: events.Settings{Topics: map[string]events.Options{"t": {Keep: 10_000}}}})
}

func eventWorld(t *testing.T, n uint32) (*world, []*listener) {
	w := newWorld(t, int(n)).start(quorate(n), newEvents)
	w.until("one ring", func() bool { return w.together(w.order...) })
	w.run(proto.Second) // the topic of the configuration is created
	var list []*listener
	for _, id := range w.order {
		l := w.nodes[id].listen()
		l.call(events.CallSubscribe, 3, events.SubscribeRequest{Sub: 2, Topic: []byte("t"), Start: events.StartFirst}.AppendTo(nil), func(c service.Code, _ []byte) {
			if c != service.OK {
				t.Errorf("subscribe: %v", c)
			}
		})
		list = append(list, l)
	}
	return w, list
}

// The states of cluster events 2.8, with rings of the real engine.
func TestEvents_Membership(t *testing.T) {
	w, list := eventWorld(t, 5)
	last := func(l *listener, want string) bool { return len(l.facts) > 0 && l.facts[len(l.facts)-1] == want }
	all := func(what string, want map[string][]NodeID) {
		t.Helper()
		w.until(what, func() bool {
			for fact, ids := range want {
				for _, id := range ids {
					if !last(list[id-1], fact) {
						return false
					}
				}
			}
			return true
		})
	}
	first := list[0].facts[0]
	seq := strings.Fields(first)[1]
	w.split([]NodeID{1, 2}, []NodeID{3, 4}, []NodeID{5})
	all("nobody has quorum", map[string][]NodeID{"not-primary " + seq + " [1 2 3 4 5]": w.order})
	w.heal()
	all("all as it was", map[string][]NodeID{"restored " + seq + " [1 2 3 4 5]": w.order})
	w.split([]NodeID{1, 2, 3}, []NodeID{4, 5})
	w.until("three go on", func() bool { return w.together(1, 2, 3) && w.together(4, 5) })
	if !strings.HasPrefix(list[0].facts[len(list[0].facts)-1], "new ") || !last(list[3], "not-primary "+seq+" [1 2 3 4 5]") {
		t.Errorf("%q, %q", list[0].facts, list[3].facts)
	}
	w.heal()
	w.until("one ring again", func() bool { return w.together(w.order...) })
	w.run(proto.Second)
	if !last(list[4], "evicted 0 []") || !strings.HasPrefix(list[1].facts[len(list[1].facts)-1], "new ") {
		t.Errorf("%q, %q", list[4].facts, list[1].facts)
	}
}

// The operator makes two of five enough, in the ring that they have: a round for
// the services that need quorum begins there, and their membership is a new one.
func TestEvents_QuorumWithinARing(t *testing.T) {
	w, list := eventWorld(t, 5)
	w.split([]NodeID{1, 2}, []NodeID{3}, []NodeID{4}, []NodeID{5})
	w.until("apart", func() bool { return w.together(1, 2) && w.together(3) && w.together(4) && w.together(5) })
	ring := w.nodes[1].core.ring
	seq := strings.Fields(list[0].facts[0])[1]
	if last := list[0].facts[len(list[0].facts)-1]; last != "not-primary "+seq+" [1 2 3 4 5]" {
		t.Fatal(last)
	}
	h, code := w.nodes[1].core.Open(quorumservice.ID, service.Cred{}, &sink{})
	if code != service.OK {
		t.Fatal(code)
	}
	if err := h.Call(quorumservice.CallSetExpected, 1, quorumservice.NumberRequest{Value: 2}.AppendTo(nil), nil); err != nil {
		t.Fatal(err)
	}
	w.nodes[1].core.Flush(w.now)
	w.run(proto.Second)
	published := service.Code(0)
	list[1].call(events.CallPublish, 9, events.PublishRequest{Topic: []byte("t"), Content: events.Content{Data: []byte("x")}}.AppendTo(nil),
		func(c service.Code, _ []byte) { published = c })
	list[1].core.Flush(w.now)
	w.run(proto.Second)
	for _, l := range list[:2] {
		if last := l.facts[len(l.facts)-1]; !strings.HasSuffix(last, " [1 2]") || !strings.HasPrefix(last, "new ") || len(l.told) != 1 {
			t.Errorf("%q, %q", l.facts, l.told)
		}
	}
	if published != service.OK || w.nodes[1].core.ring != ring {
		t.Errorf("%v in %v, not in %v", published, w.nodes[1].core.ring, ring)
	}
	w.heal()
	w.until("one ring again", func() bool { return w.together(w.order...) })
	w.run(proto.Second)
	for _, l := range list {
		if len(l.told) != 1 {
			t.Errorf("%q, %q", l.facts, l.told)
		}
	}
	if last := list[4].facts[len(list[4].facts)-1]; last != "evicted 0 []" {
		t.Error(last)
	}
}

// Whatever splits while messages are on their way: each number of the topic is one
// event everywhere, what was granted is there, and what was refused is not.
func TestEvents_SafeOverPartitions(t *testing.T) {
	for seed := range uint64(6) {
		w, list := eventWorld(t, 5)
		r := rand.New(rand.NewPCG(seed, 3))
		answers := map[string]service.Code{}
		texts := 0
		publish := func() {
			l := list[r.IntN(len(list))]
			texts++
			text := fmt.Sprint("m", texts, ".")
			b := events.PublishRequest{Topic: []byte("t"), Content: events.Content{Priority: events.Lowest, Data: []byte(text)}}.AppendTo(nil)
			l.call(events.CallPublish, uint64(10+texts), b, func(c service.Code, _ []byte) { answers[text] = c })
			l.core.Flush(w.now)
		}
		for range 12 {
			for range 10 {
				publish()
				for range r.IntN(12) {
					w.step(w.now + proto.Second)
				}
			}
			parts := make([][]NodeID, 1+r.IntN(3))
			for _, id := range w.order {
				i := r.IntN(len(parts))
				parts[i] = append(parts[i], id)
			}
			w.split(parts...)
			w.run(proto.Tick(r.IntN(4000)) * proto.Millisecond)
		}
		w.heal()
		w.until("one ring again", func() bool { return w.together(w.order...) })
		w.run(3 * proto.Second)
		numbers := map[string]string{}
		whole := ""
		for _, l := range list {
			for _, line := range l.told {
				seq, rest, _ := strings.Cut(line, " ")
				if known, ok := numbers[seq]; ok && known != rest {
					t.Fatalf("seed %d: %s is %q and %q", seed, seq, known, rest)
				}
				numbers[seq] = rest
				whole += rest
			}
			if l.last != list[0].last || len(l.told) != len(list[0].told) {
				t.Errorf("seed %d: told %d events up to %d, and %d up to %d", seed, len(l.told), l.last, len(list[0].told), list[0].last)
			}
		}
		counts := map[service.Code]int{}
		for n := range texts {
			text := fmt.Sprint("m", n+1, ".")
			code, answered := answers[text]
			counts[code]++
			if there := strings.Contains(whole, text); !answered || there && code == service.ErrAgain || !there && code == service.OK {
				t.Errorf("seed %d: %s is answered %v (%v), and there: %v", seed, text, code, answered, there)
			}
		}
		if counts[service.OK] == 0 || counts[service.ErrAgain] == 0 {
			t.Errorf("seed %d: answers %v", seed, counts)
		}
		var lines []string
		for _, l := range list {
			lines = append(lines, l.facts...)
		}
		slices.Sort(lines)
		t.Logf("seed %d: %v, %d facts of %d kinds", seed, counts, len(lines), len(slices.Compact(lines)))
	}
}
