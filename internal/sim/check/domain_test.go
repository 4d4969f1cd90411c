package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// hall is a hand-made trace of Group Services: node n has life n, client c its
// connection c.
type hall struct {
	d    *Domain
	at   Tick
	ring uint64
	hash uint64
	tag  uint64
}

// newHall has nodes in one ring that formed the domain.
func newHall(nodes int) *hall {
	h := &hall{d: NewDomain(11, 20), ring: 1}
	var all []NodeID
	for n := range nodes {
		all = append(all, NodeID(n+1))
		h.follow(Event{Kind: KindStart, Life: Life(n + 1), Node: NodeID(n + 1), Inc: 1})
	}
	h.turn(nil, all...)
	h.take(DomainMessage{Says: SaysForm, From: 1}, all...)
	return h
}

func (h *hall) follow(e Event) {
	h.at++
	e.At = h.at
	h.d.Follow(&e)
}

func (h *hall) add(e DomainEvent) {
	h.at++
	e.At = h.at
	h.d.Add(&e)
}

// turn has nodes synchronise in a new ring; those in part came along together.
func (h *hall) turn(part []NodeID, nodes ...NodeID) {
	h.turning(part, nodes...)
	for _, n := range nodes {
		h.turned(n, part, nodes)
	}
}

func (h *hall) turning(part []NodeID, nodes ...NodeID) {
	h.ring += 4
	for _, n := range nodes {
		h.follow(Event{Kind: KindConf, Life: Life(n), Ring: rg(h.ring), Members: nodes, Incs: slices.Repeat([]uint64{1}, len(nodes))})
		h.follow(Event{Kind: KindInit, Life: Life(n), Ring: rg(h.ring), Service: 11})
	}
}

// turned ends the synchronisation at a node; told is what its clients get.
func (h *hall) turned(n NodeID, part, nodes []NodeID, told ...func()) {
	e := DomainEvent{Kind: DomainTurning, Life: Life(n), Ring: rg(h.ring)}
	for _, m := range nodes {
		p := DomainPeer{Node: m, Trans: []NodeID{m}}
		if slices.Contains(part, m) {
			p.Trans, p.Epoch = part, 1
		}
		e.Peers = append(e.Peers, p)
	}
	h.add(e)
	for _, f := range told {
		f()
	}
	h.add(DomainEvent{Kind: DomainTurned, Life: Life(n)})
}

// take has nodes take a message that says nothing to anybody.
func (h *hall) take(m DomainMessage, nodes ...NodeID) {
	h.hash++
	m.Hash = h.hash
	for _, n := range nodes {
		h.takes(n, m)
	}
}

func (h *hall) takes(n NodeID, m DomainMessage, told ...func()) {
	h.add(DomainEvent{Kind: DomainOrdered, Life: Life(n), Message: &m})
	for _, f := range told {
		f()
	}
	h.add(DomainEvent{Kind: DomainApplied, Life: Life(n), Digest: [32]byte{byte(m.Hash)}})
}

func (h *hall) open(n NodeID, c int) {
	h.add(DomainEvent{Kind: DomainOpened, Life: Life(n), Client: c, Conn: uint64(c)})
}

// call has a client make a call that the service takes.
func (h *hall) call(n NodeID, c int, q DomainRequest, told ...func()) DomainMessage {
	h.tag++
	q.Tag = h.tag
	h.add(DomainEvent{Kind: DomainCalled, Life: Life(n), Client: c, Request: &q})
	for _, f := range told {
		f()
	}
	h.add(DomainEvent{Kind: DomainAnswer, Life: Life(n), Client: c, Tag: q.Tag})
	h.hash++
	return DomainMessage{From: n, Conn: uint64(c), Tag: q.Tag, Hash: h.hash, Group: "g"}
}

// told is a client that gets something.
func (h *hall) told(n NodeID, c int, x Notice) func() {
	return func() { h.add(DomainEvent{Kind: DomainNotice, Life: Life(n), Client: c, Notice: &x}) }
}

// first is the number of the first protocol in the ring of a newHall.
const first = 5<<32 + 1

var twoPhases = GroupAttributes{Phases: 2, ReflectPhases: 1, Default: voteApprove, Limit: 2}

func join(instance int16) DomainRequest {
	return DomainRequest{Ask: AskJoin, Group: "g", Instance: instance, Attrs: twoPhases}
}

// phase, and over, are what members get of a join of 0/1 to an empty group.
func phase(k uint32) Notice {
	n := Notice{Kind: NoticePhase, Protocol: kindJoin, Seq: first, Limit: 2, Phases: 2, Phase: k, By: Provider{0, 1}, Changed: changedMembership,
		Changing: []Provider{{0, 1}}, State: Some("")}
	if k > 1 {
		n.Changed <<= 1
	}
	return n
}

func over(k uint32, kind NoticeKind, summary uint32) Notice {
	n := phase(k)
	n.Kind, n.Limit, n.Summary, n.Changed = kind, 0, summary, changedMembership<<3
	if kind == NoticeApproved {
		n.Changed, n.Current = changedMembership<<2, []Provider{{0, 1}}
	}
	return n
}

func vote(q uint8) DomainRequest {
	return DomainRequest{Ask: AskVote, Seq: first, Phase: 1, Vote: q}
}

// joined has client 1 of node 1 join; the vote is not taken yet.
func (h *hall) joined() DomainMessage {
	h.open(1, 1)
	h.takes(1, h.call(1, 1, join(0)), h.told(1, 1, phase(1)))
	return h.call(1, 1, vote(voteApprove))
}

func (h *hall) expect(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, f := range h.d.Findings() {
		got = append(got, f.Property)
	}
	if !slices.Equal(got, want) {
		t.Errorf("findings %v, want %v", h.d.Findings(), want)
	}
}

func TestDomain_CleanJoin(t *testing.T) {
	h := newHall(1)
	v := h.joined()
	h.takes(1, v, h.told(1, 1, over(1, NoticeApproved, explicitApprove)))
	h.d.End(h.at, true)
	h.expect(t)
}

func TestDomain_Finds(t *testing.T) {
	cases := []struct {
		name, property string
		play           func(h *hall)
	}{
		{"another state after the same message", "GS1", func(h *hall) {
			m := DomainMessage{Says: SaysGone, From: 1, Conn: 9, Hash: 99}
			h.takes(1, m)
			h.add(DomainEvent{Kind: DomainOrdered, Life: 2, Message: &m})
			h.add(DomainEvent{Kind: DomainApplied, Life: 2, Digest: [32]byte{200}})
		}},
		{"together after other messages", "GS1", func(h *hall) {
			h.take(DomainMessage{Says: SaysGone, From: 1, Conn: 9}, 1)
			h.turning([]NodeID{1, 2}, 1, 2)
			h.turned(1, []NodeID{1, 2}, []NodeID{1, 2})
		}},
		{"a protocol while another runs", "GS2", func(h *hall) {
			h.joined()
			n := phase(1)
			n.Seq = first + 1
			h.told(1, 1, n)()
		}},
		{"a phase left out", "GS2", func(h *hall) { h.joined(); h.told(1, 1, phase(3))() }},
		{"approved without the vote", "GS3", func(h *hall) {
			h.open(1, 1)
			h.takes(1, h.call(1, 1, join(0)), h.told(1, 1, phase(1)), h.told(1, 1, over(1, NoticeApproved, explicitApprove)))
		}},
		{"rejected though all approve", "GS3", func(h *hall) {
			h.takes(1, h.joined(), h.told(1, 1, over(1, NoticeRejected, explicitReject)))
		}},
		{"nothing said at the end", "GS3", func(h *hall) { h.takes(1, h.joined()) }},
		{"a vote of another life of the domain", "GS3", func(h *hall) {
			m := h.joined()
			m.Term = 3
			h.takes(1, m, h.told(1, 1, over(1, NoticeApproved, explicitApprove)))
		}},
		{"members that did not join", "GS4", func(h *hall) {
			h.takes(1, h.joined(), h.told(1, 1, over(1, NoticeApproved, explicitApprove)))
			n := phase(1)
			n.Seq, n.Changing, n.Current = first+1, []Provider{{1, 1}}, []Provider{{5, 5}}
			h.told(1, 1, n)()
		}},
		{"a protocol without an end", "GS5", func(h *hall) { h.joined(); h.d.End(h.at, true) }},
		{"a join without an end", "GS6", func(h *hall) {
			h.open(1, 1)
			h.call(1, 1, join(0))
			h.d.End(h.at, true)
		}},
		{"a subscriber sees what is not", "GS7", func(h *hall) {
			h.open(1, 1)
			h.call(1, 1, DomainRequest{Ask: AskSubscribe, Group: hostMembership, Wants: wantMembership},
				h.told(1, 1, Notice{Kind: NoticeSeen, Changed: wantMembership, Current: []Provider{{0, 1}}}))
		}},
		{"a subscriber sees nothing", "GS7", func(h *hall) {
			h.open(1, 1)
			h.call(1, 1, DomainRequest{Ask: AskSubscribe, Group: hostMembership, Wants: wantMembership})
		}},
		{"late before the limit", "GS8", func(h *hall) {
			h.joined()
			h.takes(1, DomainMessage{Says: SaysTimeout, From: 1, Group: "g", Seq: first, Phase: 1, Who: []int16{0}, Hash: 50},
				h.told(1, 1, over(1, NoticeApproved, defaultApprove|timeLimitExceeded)),
				h.told(1, 1, Notice{Kind: NoticeAnnounced, Summary: timeLimitExceeded, Current: []Provider{{0, 1}}}))
		}},
		{"much too late", "GS8", func(h *hall) {
			v := h.joined()
			h.follow(Event{Kind: KindPhase, Text: "progress"})
			h.at += 60_000_000_000
			h.takes(1, v, h.told(1, 1, over(1, NoticeApproved, explicitApprove)))
		}},
		{"a merge that nobody is told of", "GS9", func(h *hall) {
			h.takes(1, h.joined(), h.told(1, 1, over(1, NoticeApproved, explicitApprove)))
			h.turning([]NodeID{2}, 1, 2)
			h.turned(1, []NodeID{2}, []NodeID{1, 2})
		}},
		{"told after goodbye", "GS10", func(h *hall) {
			h.takes(1, h.joined(), h.told(1, 1, over(1, NoticeApproved, explicitApprove)))
			h.call(1, 1, DomainRequest{Ask: AskGoodbye})
			h.told(1, 1, phase(1))()
		}},
		{"told for a token that is free", "GS10", func(h *hall) { h.open(1, 1); h.told(1, 1, phase(1))() }},
		{"told after the end", "GS10", func(h *hall) {
			h.open(1, 1)
			h.add(DomainEvent{Kind: DomainClosed, Life: 1, Client: 1})
			h.told(1, 1, phase(1))()
		}},
		{"a script for nothing", "GS11", func(h *hall) {
			h.add(DomainEvent{Kind: DomainScript, Life: 1, Script: ScriptRun{"g", 0, "expel"}})
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := newHall(2)
			c.play(h)
			if f := h.d.Findings(); len(f) == 0 || f[0].Property != c.property {
				t.Errorf("findings %v, want %s first", f, c.property)
			}
		})
	}
}

// TestDomain_Merge plays a merge that is in order: node 1 loses what it had.
func TestDomain_Merge(t *testing.T) {
	h := newHall(2)
	v := h.joined()
	h.takes(1, v, h.told(1, 1, over(1, NoticeApproved, explicitApprove)))
	h.turn(nil, 2)
	h.turning([]NodeID{2}, 1, 2)
	h.turned(2, []NodeID{2}, []NodeID{1, 2})
	h.turned(1, []NodeID{2}, []NodeID{1, 2}, h.told(1, 1, Notice{Kind: NoticeAnnounced, Summary: groupDissolved, Current: []Provider{{0, 1}}, Ends: true}))
	h.d.End(h.at, true)
	h.expect(t)
}

func TestNotice_String(t *testing.T) {
	n := over(2, NoticeApproved, explicitApprove)
	n.Proposed, n.Message, n.Attrs = Some("v"), Some("m"), &twoPhases
	for _, want := range []string{"approved token 0", "phase 2/2", `proposed "v"`, "[0/1]", fmt.Sprint(twoPhases)} {
		if s := n.String(); !strings.Contains(s, want) {
			t.Errorf("%q lacks %q", s, want)
		}
	}
}
