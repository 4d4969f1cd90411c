package vote

import (
	"slices"

	"github.com/moothall/moothall/internal/proto"
)

// Names of the house, for short.
type (
	NodeID = proto.NodeID
	RingID = proto.RingID
	Epoch  = proto.Epoch
)

// Config is a node's part of the quorum configuration, settled: what one option
// implies for another was worked out when it was read.
type Config struct {
	Self       NodeID
	Votes      uint32 // of this node
	Expected   uint32 // of the whole cluster, as configured, a quorum device included
	TwoNode    bool   // one of two nodes may go on alone; relies on fencing
	WaitForAll bool   // after the start, and after a loss of quorum, all must be seen at once
	Tie        Tie    // auto_tie_breaker
	LastMan    bool   // last_man_standing: those who stay for a while expect no more than are there
	Downscale  bool   // allow_downscale: who leaves cleanly is not expected any more
	Tracking   bool   // expected_votes_tracking: never expect fewer than ever before, over restarts too
	Device     uint32 // votes that a quorum device has to give
}

// NotesFirst reports whether what was noted must be durable before the own
// barrier: a member that forgot it could vote for an old holder of the tie.
func (c Config) NotesFirst() bool { return c.Tie.Rule != TieNone }

// DeviceAllowed reports whether a quorum device may be used beside the other
// settings (ordering 4.4).
func (c Config) DeviceAllowed() bool {
	return !c.TwoNode && !c.LastMan && !c.Downscale && c.Tie.Rule == TieNone
}

// State is what a node carries from one decision to the next.
type State struct {
	Votes    uint32 // of this node, as configured or set by an operator
	Expected uint32 // E as it stands; never falls by itself
	Quorum   uint32 // Q as it stands
	Barrier  uint32 // expected votes by configuration or operator: downscale leaves a majority of them
	Tracked  uint32 // highest E ever seen, with Tracking
	Waiting  bool   // wait_for_all: not all were seen at once yet
	Quorate  bool   // the last decision that was shown
	Primary  proto.Primary
}

// Start is the state of a node that starts with the given primary record and
// the highest expected votes that it ever tracked.
func (c Config) Start(p proto.Primary, tracked uint32) State {
	s := State{Votes: c.Votes, Expected: c.Expected, Barrier: c.Expected, Waiting: c.WaitForAll, Primary: clonePrimary(p)}
	if c.Tracking {
		s.Tracked = max(tracked, c.Expected)
		s.Expected = s.Tracked
	}
	return s
}

// Device is what a quorum device is to one member.
type Device struct {
	Registered bool
	Alive      bool // it polled in time
	Cast       bool // its votes count here
	Master     bool // whoever it votes for may act, enough votes or not
}

// Info is what a member tells the others in a round, and from then on its row of
// the table.
type Info struct {
	Node        NodeID
	Votes       uint32
	Expected    uint32
	Quorum      uint32
	Barrier     uint32
	Tracked     uint32
	DeviceVotes uint32 // that a device would have, as configured
	TwoNode     bool
	WaitForAll  bool
	LastMan     bool
	Downscale   bool
	Tracking    bool
	Waiting     bool
	Quorate     bool
	Leaving     bool // it said farewell: it has no votes any more
	Device      Device
	Tie         Tie
	Primary     proto.Primary
}

// Announce is the info of this node in a given state. The device is the
// caller's to fill in.
func (c Config) Announce(s State) Info {
	return Info{
		Node: c.Self, Votes: s.Votes, Expected: s.Expected, Quorum: s.Quorum, Barrier: s.Barrier, Tracked: s.Tracked,
		DeviceVotes: c.Device, TwoNode: c.TwoNode, WaitForAll: c.WaitForAll, LastMan: c.LastMan, Downscale: c.Downscale,
		Tracking: c.Tracking, Waiting: c.WaitForAll && s.Waiting, Quorate: s.Quorate,
		Tie: c.Tie.clone(), Primary: clonePrimary(s.Primary),
	}
}

func (f Info) clone() Info {
	f.Tie, f.Primary = f.Tie.clone(), clonePrimary(f.Primary)
	return f
}

// Find is the row of a node; ok is false without one.
func Find(infos []Info, n NodeID) (f Info, ok bool) {
	if i := index(infos, n); i >= 0 {
		return infos[i], true
	}
	return Info{}, false
}

func index(infos []Info, n NodeID) int {
	return slices.IndexFunc(infos, func(f Info) bool { return f.Node == n })
}

func clonePrimary(p proto.Primary) proto.Primary {
	p.Members = slices.Clone(p.Members)
	p.Attempts = slices.Clone(p.Attempts)
	return p
}
