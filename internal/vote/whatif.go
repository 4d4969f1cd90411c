package vote

import (
	"slices"

	"github.com/moothall/moothall/internal/proto"
)

// A Scene is a decision that stands, from which to ask what would become of it.
// Asking changes nothing.
type Scene struct {
	Ring    RingID
	Members []NodeID // ascending
	Infos   []Info   // the table that all members hold alike
}

// A Side is members that would decide together.
type Side struct {
	Members []NodeID
	Votes   Votes
	Quorate bool
	Row     Row
	// Later is the decision after the window of last_man_standing; nil: the same.
	Later *Side
}

// config is the configuration of a member as its info tells it.
func (f *Info) config() Config {
	return Config{Self: f.Node, Votes: f.Votes, Expected: f.Expected, TwoNode: f.TwoNode, WaitForAll: f.WaitForAll, Tie: f.Tie,
		LastMan: f.LastMan, Downscale: f.Downscale, Tracking: f.Tracking, Device: f.DeviceVotes}
}

// state is what a member carries on as its info tells it.
func (f *Info) state() State {
	return State{Votes: f.Votes, Expected: f.Expected, Quorum: f.Quorum, Barrier: f.Barrier, Tracked: f.Tracked,
		Waiting: f.Waiting, Quorate: f.Quorate, Primary: clonePrimary(f.Primary)}
}

// side is a decision in the eyes of the first member.
func side(members []NodeID, d *Decision) Side {
	return Side{Members: members, Votes: d.Votes, Quorate: d.Quorate, Row: d.Row}
}

// decide is the decision of some members in a new ring. left says that others
// went.
func (s Scene) decide(members []NodeID, left bool) (Side, []Info) {
	infos := present(members, s.Infos)
	if len(infos) == 0 {
		return Side{Members: members}, nil
	}
	ring := proto.RingID{Seq: s.Ring.Seq + 4, Rep: members[0]}
	c, state := infos[0].config(), infos[0].state()
	d := Decide(c, ring, members, infos, state)
	out := side(members, &d)
	if d.WindowNeeded(left) {
		if x, ok := Apply(c, ring, members, d.Infos, d.Shown, Change{Kind: LastMan}); ok && (x.Votes != d.Votes || x.Quorate != d.Quorate) {
			later := side(members, &x)
			out.Later = &later
		}
	}
	return out, d.Infos
}

// Stop is the decision of those who stay when nodes leave in order, one after
// the other. Nobody stays: a Side without members.
func (s Scene) Stop(nodes ...NodeID) Side {
	out := Side{Members: s.Members}
	for _, n := range nodes {
		i := slices.Index(s.Members, n)
		if i < 0 {
			continue
		}
		if f, ok := Find(s.Infos, n); ok {
			if d, ok := Apply(f.config(), s.Ring, s.Members, s.Infos, f.state(), Change{Kind: Leave, Node: n}); ok {
				s.Infos = d.Infos
			}
		}
		s.Members = slices.Delete(slices.Clone(s.Members), i, i+1)
		out = Side{}
		if len(s.Members) > 0 {
			out, s.Infos = s.decide(s.Members, true)
			s.Ring.Seq += 4
		}
	}
	return out
}

// Cut is the decision of each part of a ring that breaks into such parts. What a
// quorum device would say to them is not known; it counts as it does now.
func (s Scene) Cut(parts ...[]NodeID) []Side {
	out := make([]Side, len(parts))
	for i, members := range parts {
		out[i], _ = s.decide(members, len(members) < len(s.Members))
	}
	return out
}

// Change is the decision after changes of the numbers, one after the other. ok is
// false if one of them would not be allowed.
func (s Scene) Change(changes ...Change) (out Side, ok bool) {
	for _, x := range changes {
		f := s.first()
		d, ok := Apply(f.config(), s.Ring, s.Members, s.Infos, f.state(), x)
		if !ok {
			return Side{}, false
		}
		out, s.Infos = side(s.Members, &d), d.Infos
	}
	return out, true
}

// Refusal says why the first of such changes that is not allowed is not, "" if
// all are.
func (s Scene) Refusal(changes ...Change) string {
	for _, x := range changes {
		f := s.first()
		d, ok := Apply(f.config(), s.Ring, s.Members, s.Infos, f.state(), x)
		switch {
		case ok:
			s.Infos = d.Infos
		case x.Kind == SetExpected:
			return whyExpected(s.Members, s.Infos, x.Value)
		default:
			return whyVotes(s.Members, s.Infos, x.Node, x.Value)
		}
	}
	return ""
}

// Now is the decision that stands.
func (s Scene) Now() Side {
	f := s.first()
	d := decide(f.config(), s.Ring, s.Members, s.Infos, f.state(), &recount{})
	return side(s.Members, &d)
}

// first is the info of the first member that has one.
func (s Scene) first() *Info {
	if infos := present(s.Members, s.Infos); len(infos) > 0 {
		return &infos[0]
	}
	return &Info{}
}
