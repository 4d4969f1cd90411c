package groups

import (
	"cmp"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// CouncilName is the group of the nodes themselves: its providers are the nodes of
// the domain, by seniority, and its state value is the last motion they carried.
// Clients can neither join nor watch it. It exists from the first motion on.
//
// It differs from other groups in four points. Its members follow the domain
// without a protocol. Votes are safe messages, so who sees the last one in the
// regular configuration knows that all others will. All nodes are heard before a
// motion is rejected, so that each can say why. And a change of the domain ends a
// vote in work: a newcomer has had no say, and of the others nobody knows whether
// they took part.
const CouncilName = "moothall.council"

// Council is what a node does in votes of the nodes. Its methods are called on the
// owner, and may call Propose and Say.
type Council interface {
	// Asked wants this node's vote, by Say, now or later.
	Asked(Motion)
	// Judge has the last word on a motion that all nodes approve of. It is called
	// at one place of the order at all nodes, and must say the same at all.
	Judge(Motion, []Ballot) bool
	// Ended tells what became of a motion that this node was asked about, at one
	// place of the order at all nodes that go on together.
	Ended(Motion, Outcome, []Ballot)
	// Refused tells that the motion of this node did not come to a vote: another
	// one is in work, or (not busy) a merge voided it.
	Refused(busy bool)
}

// Motion is what the nodes vote on.
type Motion struct {
	Seq   uint64 // number of the protocol
	By    proto.NodeID
	Value []byte
}

// Ballot is one node's vote. Lists of them ascend by node.
type Ballot struct {
	Node    proto.NodeID
	Vote    Vote // Approve or Reject; NullVote: it was late, or is gone
	Message []byte
}

// Outcome is what became of a motion.
type Outcome uint8

// Outcomes.
const (
	Carried     Outcome = iota
	Lost                // somebody voted against it, or was late, or Judge did not want it
	Interrupted         // the nodes of the domain changed
)

// pending is the motion of this node, until it is decided.
type pending struct {
	value []byte
	limit int32
	sent  bool
}

// isCouncil reports whether g is the group of the nodes.
func (g *group) isCouncil() bool { return g.name == CouncilName }

// chair is a node as a provider of the council; a node number needs both halves.
func chair(n proto.NodeID) Provider {
	return Provider{Instance: int16(n >> 16), Node: int16(n)}
}

// sits is the node that has a seat.
func (p Provider) sits() proto.NodeID {
	return proto.NodeID(uint16(p.Instance))<<16 | proto.NodeID(uint16(p.Node))
}

// council finds the group of the nodes, or founds it.
func (d *domain) council() *group {
	g := d.group(CouncilName)
	if g == nil {
		g = d.found(CouncilName)
		g.alive, g.attrs = true, Attributes{Phases: NPhase, ReflectPhases: OnePhase, DefaultVote: Reject}
		d.seatAll()
	}
	return g
}

// seatAll makes the nodes of the domain the members of the council.
func (d *domain) seatAll() {
	g := d.group(CouncilName)
	if g == nil {
		return
	}
	g.members = nil
	for _, h := range d.hosts {
		g.members = append(g.members, member{Provider: chair(h.node), level: Level})
	}
}

// adjourn ends a vote of the nodes because they are not the same any more.
func (d *domain) adjourn() {
	if g := d.group(CouncilName); g != nil && g.active != nil && !bug.Planted("groups-council-goes-on") {
		g.active.causes |= ProviderFailed
		d.finish(g, false, DefaultReject)
		d.settle()
	}
}

// ballots are the votes of a protocol of the council.
func (p *protocol) ballots() []Ballot {
	list := make([]Ballot, 0, len(p.voters))
	for _, v := range p.voters {
		b := Ballot{Node: v.sits(), Vote: v.vote, Message: v.message}
		if slices.Contains(p.tardy, v.Provider) {
			b.Vote = NullVote
		}
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b Ballot) int { return cmp.Compare(a.Node, b.Node) })
	return list
}

func (p *protocol) motion() Motion { return Motion{p.seq, p.proposer.sits(), p.proposed} }

// judge implements outside.
func (s *Service) judge(p *protocol) bool {
	return s.asked != p.seq || s.cfg.Council.Judge(p.motion(), p.ballots())
}

// decided implements outside.
func (s *Service) decided(p *protocol, approved bool) {
	if s.asked != p.seq {
		return
	}
	o := Lost
	switch {
	case approved:
		o = Carried
	case p.causes&ProviderFailed != 0:
		o = Interrupted
	}
	s.told(p, o)
}

// told tells this node what became of a motion.
func (s *Service) told(p *protocol, o Outcome) {
	if p.proposer == chair(s.self) {
		s.pending = nil
	}
	s.asked = 0
	s.cfg.Council.Ended(p.motion(), o, p.ballots())
}

// inCouncil is notify for the seat of this node.
func (s *Service) inCouncil(kind uint16, e event) {
	switch n, _ := e.(Notification); {
	case kind == EventDelayedError:
		if s.pending != nil && s.pending.sent {
			s.pending = nil
			s.cfg.Council.Refused(true)
		}
	case kind != EventNPhase:
	case s.cfg.Council == nil:
		s.Say(Motion{Seq: n.Seq}, false, []byte("this node has no part in it"))
	default:
		s.asked = n.Seq
		s.cfg.Council.Asked(Motion{n.Seq, n.ProposedBy.sits(), n.Proposed})
	}
}

// Propose has all nodes vote on a value of at most MaxState bytes, each within the
// limit. One motion of a node is in work at a time; its end is told to the Council
// by Ended or Refused. The first one in the domain forms it.
func (s *Service) Propose(value []byte, limit time.Duration) {
	s.pending = &pending{value: notNil(value[:min(len(value), MaxState)]), limit: int32(limit / time.Second)}
	if s.d.formed {
		s.sendMotion()
	} else {
		s.form()
	}
}

// sendMotion sends what Propose left.
func (s *Service) sendMotion() {
	m := s.pending
	if m == nil || m.sent {
		return
	}
	m.sent = true
	q := Proposal{Phases: NPhase, Limit: m.limit, Data: m.value}
	s.owe(owed{fn: msgPropose, group: CouncilName, body: q.AppendTo(append(body.AppendU16(nil, 0), byte(StateValueChange)))})
}

// Say is this node's vote on a motion, with what the others are to know: facts if
// it approves, or why not; MaxMessage bytes at most.
func (s *Service) Say(m Motion, approve bool, message []byte) {
	q := VoteRequest{Seq: m.Seq, Phase: 1, Vote: Reject, Message: message[:min(len(message), MaxMessage)]}
	if approve {
		q.Vote = Approve
	}
	s.owe(owed{fn: msgVote, group: CouncilName, body: q.AppendTo(body.AppendU16(nil, 0))})
}

// void ends what this node has in work in the council of a side that is dissolved
// in a merge. The returned function tells it; call it when the merge is over.
func (s *Service) void() func() {
	s.owed = slices.DeleteFunc(s.owed, func(o owed) bool { return o.group == CouncilName })
	var active *protocol
	if g := s.d.group(CouncilName); g != nil && g.active != nil && g.active.seq == s.asked {
		active = g.active
	}
	if !bug.Planted("groups-council-ends-twice") {
		s.asked = 0 // the other side may have the same protocol
	}
	sent := s.pending != nil && s.pending.sent
	return func() {
		mine := active != nil && active.proposer == chair(s.self)
		if active != nil {
			s.told(active, Interrupted)
		}
		if sent && !mine {
			s.pending = nil
			s.cfg.Council.Refused(false)
		}
	}
}

// level is the guarantee that a message needs.
func level(fn uint16, group string) service.Level {
	if group == CouncilName && fn != msgPropose {
		return service.Safe
	}
	return service.Agreed
}
