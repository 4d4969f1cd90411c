package quorum

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// Status answers CallStatus: the last shown decision with all that led to it.
type Status struct {
	Type       Type
	Quorate    bool // not while Currency is unknown
	Currency   service.Currency
	Ring       proto.RingID // in which the decision was made
	Epoch      proto.Epoch  // primary epoch
	Votes      Votes
	Row        uint16 // vote.Row that decided
	TwoNode    bool   // configured here, as the four below
	WaitForAll bool
	LastMan    bool
	Downscale  bool
	Tracking   bool
	Waiting    bool // wait_for_all holds quorum back
	Fencing    bool // two sides may decide like this at once: safe only with fencing
	Tie        vote.TieRule
	Barrier    uint32       // expected votes by configuration or operator: the floor of downscale
	Tracked    uint32       // highest expected votes ever seen, with Tracking
	Lowest     proto.NodeID // member when the node was quorate last; zero: it never was
	Highest    proto.NodeID
	Device     DeviceStatus
	Why        string // the row as a sentence, at most maxWhy bytes
	Nodes      []NodeStatus
}

// DeviceStatus is the quorum device as this node knows it.
type DeviceStatus struct {
	Allowed bool   // the other settings go with one
	Votes   uint32 // that it has to give
	Name    string // of the registered one; empty: none
	Alive   bool
	Cast    bool
	Master  bool // master wins
	Awaited bool // a round waits for its word about the new ring
}

// NodeStatus is one known node in Status.
type NodeStatus struct {
	Node     proto.NodeID
	Member   bool
	Votes    uint32
	Expected uint32
}

const (
	maxWhy     = 512
	nodeStatus = 4 + 1 + 4 + 4 // encoded NodeStatus
)

// status is the answer to CallStatus.
func (s *Service) status() Status {
	d, v := s.shown, s.cfg.Vote
	p := Status{
		Type: s.kind(), Quorate: s.quorate(), Currency: s.worth, Ring: d.ring, Epoch: s.state.Primary.Epoch,
		Votes: d.votes, Row: uint16(d.row), TwoNode: v.TwoNode, WaitForAll: v.WaitForAll, LastMan: v.LastMan,
		Downscale: v.Downscale, Tracking: v.Tracking, Waiting: s.state.Waiting, Fencing: s.reliesOnFencing(), Tie: v.Tie.Rule,
		Barrier: s.state.Barrier, Tracked: s.state.Tracked, Lowest: s.lowest, Highest: s.highest,
		Device: DeviceStatus{Allowed: s.cfg.Provider && v.DeviceAllowed(), Votes: s.deviceVotes(), Name: s.device.name, Alive: s.device.now.Alive,
			Cast: s.device.now.Cast, Master: s.device.now.Master, Awaited: s.device.waiting},
		Why: d.row.Why(d.votes),
	}
	known := slices.Clone(s.x.Nodes().Configured())
	for _, n := range s.known() {
		known = append(known, n.Node)
	}
	known = append(known, d.members...)
	slices.Sort(known)
	for _, n := range slices.Compact(known) {
		f, _ := vote.Find(s.table, n)
		p.Nodes = append(p.Nodes, NodeStatus{Node: n, Member: slices.Contains(d.members, n), Votes: f.Votes, Expected: f.Expected})
	}
	return p
}

// Scene is the shown decision, to ask from what would become of it. ok is false
// while nothing was decided, or nothing ever is: without a provider.
func (s *Service) Scene() (x vote.Scene, ok bool) {
	return vote.Scene{Ring: s.shown.ring, Members: s.shown.members, Infos: s.table}, s.cfg.Provider && len(s.shown.members) > 0
}

// reliesOnFencing reports whether two sides may have decided like this at once:
// by the rule itself, or because fewer votes are needed than a majority of those
// that are configured.
func (s *Service) reliesOnFencing() bool {
	d := s.shown
	return d.row.RelyOnFencing() || s.cfg.Provider && d.quorate && d.votes.Quorum <= s.cfg.Vote.Expected/2
}

// deviceVotes are those that a device has to give, as far as it is known here.
func (s *Service) deviceVotes() uint32 {
	votes := s.cfg.Vote.Device
	for _, f := range s.table {
		votes = max(votes, f.DeviceVotes)
	}
	return votes
}

// deviceName is the name by which quorum devices go in this ring: that of the one
// here, or of another member's, for only one name is taken (CallRegister).
func (s *Service) deviceName() string {
	if s.device.now.Registered {
		return s.device.name
	}
	for _, f := range s.table {
		if f.Node != s.self && f.Device.Registered {
			return s.words[f.Node].name
		}
	}
	return ""
}

// known lists the nodes that were members since this one started, ascending.
func (s *Service) known() (nodes []VoterState) {
	for _, f := range s.table {
		state := NodeMember
		if f.Leaving {
			state = NodeLeaving
		}
		nodes = append(nodes, VoterState{f.Node, state})
	}
	for _, f := range s.past {
		nodes = append(nodes, VoterState{f.Node, NodeDead})
	}
	slices.SortFunc(nodes, func(a, b VoterState) int { return cmp.Compare(a.Node, b.Node) })
	return nodes
}

// nodeInfo is the answer to CallNodeInfo. What this node did with its own device
// shows at once, before it comes back in order.
func (s *Service) nodeInfo(n proto.NodeID) (NodeInfo, bool) {
	if n == 0 {
		n = s.self
	}
	known := s.known()
	i := slices.IndexFunc(known, func(v VoterState) bool { return v.Node == n })
	if i < 0 {
		return NodeInfo{}, false
	}
	f, here := vote.Find(s.table, n)
	if !here {
		f, _ = vote.Find(s.past, n)
	}
	if n == s.self {
		f.Device = s.device.now
	}
	d := s.shown
	p := NodeInfo{Node: n, State: known[i].State, Votes: f.Votes, Expected: f.Expected, Highest: d.votes.Expected,
		Total: d.votes.Total - d.votes.Device, Quorum: d.votes.Quorum, DeviceVotes: s.deviceVotes(), DeviceName: s.deviceName()}
	if here && f.Device.Cast {
		p.Total += p.DeviceVotes
	}
	v := s.cfg.Vote
	for _, x := range []struct {
		on   bool
		flag uint32
	}{{v.TwoNode, FlagTwoNode}, {s.quorate(), FlagQuorate}, {v.WaitForAll, FlagWaitForAll}, {v.LastMan, FlagLastManStanding},
		{v.Tie.Rule != vote.TieNone, FlagTieBreaker}, {v.Downscale, FlagDownscale}, {f.Device.Registered, FlagDeviceRegistered},
		{f.Device.Alive, FlagDeviceAlive}, {f.Device.Cast, FlagDeviceCast}, {f.Device.Master, FlagDeviceMaster}} {
		if x.on {
			p.Flags |= x.flag
		}
	}
	return p, true
}

// votesEvent is what those who track votes are told.
func (s *Service) votesEvent() VotesEvent {
	e := VotesEvent{Quorate: s.quorate(), Nodes: s.known()}
	if s.device.now.Registered {
		e.Device = NodeDead
		if s.device.now.Alive {
			e.Device = NodeMember
		}
	}
	return e
}

// tellVotes tells those who track votes, if there is news or a new ring.
func (s *Service) tellVotes() {
	e := s.votesEvent().AppendTo(nil)
	if s.shown.ring == s.toldRing && bytes.Equal(e, s.toldVotes) {
		return
	}
	s.toldRing, s.toldVotes = s.shown.ring, e
	s.tell(EventVotes, e)
}

// AppendTo appends the answer to CallStatus.
func (p Status) AppendTo(b []byte) []byte {
	b = body.AppendU32(b, uint32(p.Type))
	b = append(b, byte(p.Currency), byte(p.Tie))
	for _, f := range []bool{p.Quorate, p.TwoNode, p.WaitForAll, p.LastMan, p.Downscale, p.Tracking, p.Waiting, p.Fencing,
		p.Device.Allowed, p.Device.Alive, p.Device.Cast, p.Device.Master, p.Device.Awaited} {
		b = body.AppendBool(b, f)
	}
	b = body.AppendRing(b, p.Ring)
	b = body.AppendU64(b, uint64(p.Epoch))
	b = appendVotes(b, p.Votes)
	b = body.AppendU16(b, p.Row)
	for _, n := range []uint32{p.Barrier, p.Tracked, uint32(p.Lowest), uint32(p.Highest), p.Device.Votes} {
		b = body.AppendU32(b, n)
	}
	b = body.AppendShort(b, p.Device.Name)
	why := p.Why[:min(len(p.Why), maxWhy)]
	b = append(body.AppendU16(b, uint16(len(why))), why...)
	b = body.AppendU32(b, uint32(len(p.Nodes)))
	for _, n := range p.Nodes {
		b = body.AppendNode(b, n.Node)
		b = body.AppendBool(b, n.Member)
		b = body.AppendU32(b, n.Votes)
		b = body.AppendU32(b, n.Expected)
	}
	return b
}

// ParseStatus reads the answer to CallStatus.
func ParseStatus(b []byte) (Status, error) {
	r := body.NewReader(b)
	p := Status{Type: Type(r.U32()), Currency: takeCurrency(&r), Tie: vote.TieRule(r.U8())}
	for _, f := range []*bool{&p.Quorate, &p.TwoNode, &p.WaitForAll, &p.LastMan, &p.Downscale, &p.Tracking, &p.Waiting, &p.Fencing,
		&p.Device.Allowed, &p.Device.Alive, &p.Device.Cast, &p.Device.Master, &p.Device.Awaited} {
		*f = r.Bool()
	}
	p.Ring, p.Epoch, p.Votes, p.Row = r.Ring(), proto.Epoch(r.U64()), takeVotes(&r), r.U16()
	p.Barrier, p.Tracked, p.Lowest, p.Highest = r.U32(), r.U32(), r.Node(), r.Node()
	p.Device.Votes, p.Device.Name = r.U32(), string(r.Short())
	n := int(r.U16())
	if n > maxWhy {
		r.Fail("sentence")
	}
	p.Why = string(r.Bytes(n))
	if n := r.Count(nodeStatus); n > 0 {
		p.Nodes = make([]NodeStatus, n)
	}
	for i := range p.Nodes {
		p.Nodes[i] = NodeStatus{Node: r.Node(), Member: r.Bool(), Votes: r.U32(), Expected: r.U32()}
	}
	return p, r.Close()
}
