package events_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/client"
	"github.com/moothall/moothall/events"
	"github.com/moothall/moothall/internal/testenv"
	"github.com/moothall/moothall/internal/testenv/agents"
	"github.com/moothall/moothall/node"
)

// These run on three agents. The numbers are those of cluster events 8.

func TestMain(m *testing.M) { testenv.Main(m) }

// at is a client of a node's agent.
func at(t *testing.T, h *agents.Hall, n int) *events.Client {
	t.Helper()
	agent, err := client.Dial(soon(t), client.Config{Socket: filepath.Join(h.Run(n), node.AgentSocket)})
	must(t, err)
	t.Cleanup(func() { agent.Close() })
	c := events.New(agent)
	t.Cleanup(func() { c.Close() })
	return c
}

func three(t *testing.T, sections ...string) (*agents.Hall, []*events.Client) {
	t.Helper()
	t.Parallel() // most of it is waiting for rings
	h := agents.Start(t, 3, sections...)
	var list []*events.Client
	for n := range 3 {
		list = append(list, at(t, h, n+1))
	}
	return h, list
}

// said are messages until so many came, with what was missed before each.
func said(t *testing.T, s *events.Subscription, n int) (out []string) {
	t.Helper()
	ctx := soon(t)
	for range n {
		m, err := s.Recv(ctx)
		must(t, err)
		out = append(out, fmt.Sprintf("%d+%d:%s", m.Missed, m.Offset, m.Data))
	}
	return out
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
}

// publish tries until the node is in the primary part.
func publish(t *testing.T, c *events.Client, topic, data string, options ...events.PublishOption) {
	t.Helper()
	testenv.Eventually(t, time.Minute, "published", func() (bool, any) {
		_, err := c.Publish(soon(t), topic, 0, []byte(data), options...)
		if !errors.Is(err, events.ErrAgain) {
			must(t, err)
		}
		return err == nil, err
	})
}

func TestScenario_32_Agents(t *testing.T) {
	_, list := three(t, "events {\nqueue_messages: 3000\n}\n") // nobody has to keep up
	created(t, "t", events.TopicOptions{}, list...)
	var subs []*events.Subscription
	for _, c := range list {
		subs = append(subs, subscribe(t, c, "t"))
	}
	const each, lanes = 1000, 10
	errs := make(chan error)
	for n, c := range list {
		for lane := range lanes {
			go func() {
				var err error
				for i := range each / lanes {
					if _, e := c.Publish(t.Context(), "t", 0, fmt.Appendf(nil, "%d/%d/%d", n, lane, i)); e != nil {
						err = e
					}
				}
				errs <- err
			}()
		}
	}
	journals := make(chan []string)
	ctx := soon(t)
	for _, s := range subs {
		go func() {
			var out []string
			for m, err := range s.All(ctx) {
				if err != nil || m.Missed > 0 || m.Seq != int32(len(out)+1) {
					out = append(out, fmt.Sprint("not in order: ", m.Seq, m.Missed, err))
					break
				}
				if out = append(out, fmt.Sprintf("%s of %v", m.Data, m.From)); len(out) == each*len(list) {
					break
				}
			}
			journals <- out
		}()
	}
	for range len(list) * lanes {
		must(t, <-errs)
	}
	first := <-journals
	if len(first) != each*len(list) {
		t.Fatalf("%d messages, then %s", len(first), first[len(first)-1])
	}
	for range subs[1:] {
		if other := <-journals; !slices.Equal(first, other) {
			t.Error("subscribers have another order")
		}
	}
	next := map[string]int{} // what one goroutine published is in its order
	for _, line := range first {
		var n, lane, i int
		if _, err := fmt.Sscanf(line, "%d/%d/%d", &n, &lane, &i); err != nil {
			t.Fatal(err)
		}
		if key := fmt.Sprint(n, lane); next[key] != i {
			t.Fatalf("%s in the place of %d", line, next[key])
		} else {
			next[key] = i + 1
		}
	}
}

// What a durable topic keeps is there when all agents were away, from each start;
// numbers go on, and retention by count and by time each have their effect.
func TestDurable_Agents(t *testing.T) {
	h, list := three(t, "events {\ntopic {\nname: audit\nkeep: 3\ndurable: yes\n}\ntopic {\nname: last\nkeep: 2\n}\n}\n")
	for _, c := range list {
		known(t, c, "audit")
		known(t, c, "last")
	}
	for i := range 5 {
		publish(t, list[i%3], "audit", fmt.Sprint("e", i+1))
		publish(t, list[i%3], "last", fmt.Sprint("l", i+1))
	}
	publish(t, list[0], "audit", "for an hour", events.Retained(time.Hour))
	publish(t, list[0], "audit", "for a moment", events.Retained(time.Millisecond))
	for i := range 3 {
		publish(t, list[1], "audit", fmt.Sprint("e", i+8))
	}
	starts := func(list []*events.Client, n int) {
		t.Helper()
		for _, c := range list {
			testenv.Eventually(t, time.Minute, "the moment is over", func() (bool, any) {
				info, err := c.Topic(t.Context(), "audit")
				return err == nil && info.Kept == 4, info
			})
			same(t, said(t, subscribe(t, c, "audit", events.FromFirst()), 4), "0+6:for an hour", "1+8:e8", "0+9:e9", "0+10:e10")
			same(t, said(t, subscribe(t, c, "audit", events.FromOffset(9)), 2), "0+9:e9", "0+10:e10")
			same(t, said(t, subscribe(t, c, "audit", events.FromOffset(2)), 1), "4+6:for an hour")
			same(t, said(t, subscribe(t, c, "audit", events.FromRetained()), 1), "0+6:for an hour")
			if _, err := c.Subscribe(t.Context(), "audit", events.FromOffset(12)); !errors.Is(err, events.ErrInvalid) || !strings.Contains(err.Error(), "event 12 is neither") {
				t.Errorf("from what is not there yet: %v", err)
			}
			same(t, said(t, subscribe(t, c, "last", events.FromFirst()), n), []string{"0+4:l4", "0+5:l5"}[:n]...)
		}
	}
	starts(list, 2)

	h.Kill(1, 2, 3)
	for n := range 3 {
		h.Start(n + 1)
	}
	h.Formed()
	list = nil
	for n := range 3 {
		list = append(list, at(t, h, n+1))
		known(t, list[n], "audit")
		known(t, list[n], "last")
	}
	starts(list, 0)
	news := subscribe(t, list[2], "audit")
	publish(t, list[0], "audit", "e11")
	same(t, said(t, news, 1), "0+11:e11")
	publish(t, list[0], "last", "anew")
	same(t, said(t, subscribe(t, list[1], "last", events.FromFirst()), 1), "0+1:anew")

	// One that was away gets what it missed, and keeps it.
	h.Kill(3)
	h.Formed()
	publish(t, list[1], "audit", "e12")
	h.Start(3)
	h.Formed()
	late := at(t, h, 3)
	testenv.Eventually(t, time.Minute, "the topic is here again", func() (bool, any) {
		info, err := late.Topic(t.Context(), "audit")
		return err == nil && info.Last == 12, info
	})
	same(t, said(t, subscribe(t, late, "audit", events.FromOffset(10)), 3), "0+10:e10", "0+11:e11", "0+12:e12")
}

// What waits beyond the bound of the configuration is missed, with each policy as it
// says, and a reload changes the bound and brings topics.
func TestOverflow_Agents(t *testing.T) {
	h, list := three(t, "events {\nqueue_messages: 5\ntopic {\nname: t\n}\n}\n")
	for _, c := range list {
		known(t, c, "t")
	}
	fill := func(bound int) {
		t.Helper()
		newest, gone := subscribe(t, list[1], "t"), subscribe(t, list[1], "t", events.Overflow(events.Disconnect))
		oldest := subscribe(t, list[1], "t", events.Overflow(events.DropOldest), events.Buffer(3))
		info, err := list[0].Topic(t.Context(), "t")
		must(t, err)
		// 64 are on their way to each, the bound waits at the agent, one more is missed
		n := 64 + bound + 1
		for i := range n {
			publish(t, list[0], "t", fmt.Sprint(i))
		}
		testenv.Eventually(t, time.Minute, "the other node has them", func() (bool, any) {
			i, err := list[1].Topic(t.Context(), "t")
			return err == nil && i.Last == info.Last+uint64(n), i
		})
		if out, status := h.Moot(2, "why", "--topic", "t"); status != 0 || !strings.Contains(out, "misses events, 1 until now") || !strings.Contains(out, "queue_messages") {
			t.Errorf("%d %s", status, out)
		}
		if out, status := h.Moot(2, "topic", "describe", "t"); status != 0 || !strings.Contains(out, fmt.Sprintf("%d wait, 1 missed", bound)) {
			t.Errorf("%d %s", status, out)
		}
		got := said(t, newest, n-1)
		same(t, got[n-2:], fmt.Sprintf("0+%d:%d", info.Last+uint64(n)-1, n-2))
		said(t, gone, n-1)
		publish(t, list[0], "t", "end")
		same(t, said(t, newest, 1), fmt.Sprintf("1+%d:end", info.Last+uint64(n)+1))
		_, err = gone.Recv(soon(t))
		is(t, err, events.ErrSlow)
		testenv.Eventually(t, time.Minute, "the latest have come", func() (bool, any) {
			m, err := oldest.Recv(soon(t))
			must(t, err)
			return string(m.Data) == "end", string(m.Data)
		})
	}
	fill(5)
	h.Edit("queue_messages: 5", "queue_messages: 9\ntopic {\nname: more\nkeep: 1\n}")
	if out, status := h.Moot(2, "reload"); status != 0 {
		t.Fatal(out)
	}
	for _, c := range list {
		known(t, c, "more")
	}
	fill(9)
}

// What is reserved is there from the start: memberships and connectivity, typed, and a
// group for whoever asks for it, which can be subscribed to while somebody is in it.
func TestReserved_Agents(t *testing.T) {
	h, list := three(t)
	members, err := list[0].WatchMembership(soon(t))
	must(t, err)
	defer members.Close()
	links, err := list[0].WatchConnectivity(soon(t))
	must(t, err)
	defer links.Close()
	_, err = list[0].WatchMembership(soon(t), events.Also("g"))
	is(t, err, events.ErrInvalid)
	var first events.Membership
	for m, err := range members.All(soon(t)) {
		must(t, err)
		if first = m; len(m.Members) == 3 {
			break
		}
	}
	if first.Kind != events.NewMembership || first.Members[0].Name != "node1" {
		t.Errorf("%+v", first)
	}

	group := register(t, list[1], "g")
	expect(t, group, "join 2")
	known(t, list[2], "g")
	watcher := subscribe(t, list[2], "g")
	publish(t, list[0], "g", "hello")
	expect(t, group, "cast 1 hello re 0")
	same(t, said(t, watcher, 1), "0+1:hello")
	if out, status := h.Moot(3, "topic", "list"); status != 0 || !strings.Contains(out, "g     group") {
		t.Errorf("%d %s", status, out)
	}
	for _, name := range []string{events.MembershipClass, events.ConnectivityClass} {
		if out, status := h.Moot(3, "topic", "describe", name); status != 0 || !strings.Contains(out, name) || !strings.Contains(out, "reserved") {
			t.Errorf("%d %s", status, out)
		}
	}
	if out, status := h.Moot(3, "why", "--topic", "g"); status != 0 || !strings.Contains(out, "nothing of g was lost") {
		t.Errorf("%d %s", status, out)
	}
	must(t, group.Close())
	_, err = watcher.Recv(soon(t))
	is(t, err, events.ErrDeleted)
	if out, status := h.Moot(3, "why", "--topic", "g"); status != 0 || !strings.Contains(out, "there is no such topic") || !strings.Contains(out, "was deleted") {
		t.Errorf("%d %s", status, out)
	}
	if out, status := h.Moot(1, "why", "--topic", "never"); status != 4 {
		t.Errorf("%d %s", status, out)
	}

	h.Kill(3)
	m, err := members.Recv(soon(t))
	must(t, err)
	if m.Seq != first.Seq+1 || len(m.Members) != 2 || len(m.Out) != 1 || m.Out[0].ID != 3 {
		t.Errorf("%+v behind %+v", m, first)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for l, err := range links.All(ctx) {
		must(t, err)
		if l.Kind == events.Connect && l.Node == 3 && !l.Up {
			break
		}
	}

	h.Kill(2)
	testenv.Eventually(t, time.Minute, "publishing is refused", func() (bool, any) {
		_, err := list[0].Publish(t.Context(), "g", 0, nil)
		out, status := h.Moot(1, "why", "--topic", events.MembershipClass)
		return errors.Is(err, events.ErrAgain) && status == 0 && strings.Contains(out, "Publishing is refused here: this node is not quorate"), out
	})
}
