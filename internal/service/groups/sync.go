package groups

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// round is a synchronisation in work.
type round struct {
	ring    proto.RingID
	members []proto.NodeID // that run this service, ascending
	part    []proto.NodeID // that survives, ascending
	send    []byte         // own state, what of it is not sent yet
	sending bool
	takes   bool    // this node adopts the state of the surviving part
	staged  []byte  // what of it has come
	whole   *domain // it, when all has come
	broken  error   // it cannot be adopted
}

// pieceBytes is how much of a state one message carries.
const pieceBytes = 32 << 10

// maxStaged bounds what is collected of another member's state.
const maxStaged = 64 << 20

var notFormed = service.Digest(sha256.Sum256([]byte("groups: not formed")))

// SyncDigest implements service.Syncer. Before anybody uses the domain all
// members have the same one.
func (s *Service) SyncDigest() service.Digest {
	if !s.d.formed {
		return notFormed
	}
	return sha256.Sum256(s.d.appendTo(nil))
}

// SyncSender implements service.Chooser: the lowest node of the surviving part.
func (s *Service) SyncSender(r service.Round) proto.NodeID {
	if part := surviving(r.Peers); len(part) > 0 {
		return part[0]
	}
	return r.Sender
}

// surviving is the part whose groups go on (group services 15.5): one that has a
// domain at all, of those the one with the newest primary epoch, else the largest,
// else the one with the lowest node.
func surviving(peers []service.Peer) (best []proto.NodeID) {
	var first service.Peer // of the best part
	for _, p := range peers {
		if !p.Has {
			continue
		}
		if bug.Planted("groups-larger-survives") {
			p.Epoch = 0
		}
		part := partOf(p, peers)
		if c := cmp.Or(formed(p)-formed(first), cmp.Compare(p.Epoch, first.Epoch), cmp.Compare(len(part), len(best))); best == nil || c > 0 {
			best, first = part, p
		}
	}
	return best
}

// formed is 1 if the member is in a domain that somebody uses: who is not joins one,
// and dissolves nothing (group services 2.3).
func formed(p service.Peer) int {
	if p.Digest == notFormed || bug.Planted("groups-unused-survives") {
		return 0
	}
	return 1
}

// partOf are those that came along with p, and say the same of it.
func partOf(p service.Peer, peers []service.Peer) (part []proto.NodeID) {
	for _, q := range peers {
		mutual := slices.Contains(p.Trans, q.Node) && slices.Contains(q.Trans, p.Node)
		if q.Node == p.Node || q.Has && mutual && q.Digest == p.Digest {
			part = append(part, q.Node)
		}
	}
	return part
}

// SyncInit implements service.Syncer.
func (s *Service) SyncInit(r service.Round) {
	s.round = &round{ring: r.Ring, part: surviving(r.Peers)}
	for _, p := range r.Peers {
		if p.Has {
			s.round.members = append(s.round.members, p.Node)
		}
	}
	if !r.Same && len(s.round.part) < len(s.round.members) && s.round.part[0] == s.self {
		s.round.send, s.round.sending = s.d.appendTo(nil), true
	}
	s.round.takes = !r.Same && !slices.Contains(s.round.part, s.self)
}

// SyncProcess implements service.Syncer. Who adopts a state is done when it has it: a
// node that cannot read it leaves, instead of going on with another one.
func (s *Service) SyncProcess(budget int) (done bool, err error) {
	r := s.round
	if r.takes {
		return r.whole != nil, r.broken
	}
	for ; budget > 0 && r.sending; budget-- {
		piece := r.send[:min(len(r.send), pieceBytes)]
		last := len(piece) == len(r.send)
		b := append(body.AppendBool(nil, last), piece...)
		if err := s.x.Multicast(msgState, service.Sync, service.Agreed, service.Source{}, b); err != nil {
			return false, nil // no room: the next call goes on
		}
		r.send, r.sending = r.send[len(piece):], !last
	}
	return !r.sending, nil
}

// deliverState stages what the surviving part has.
func (s *Service) deliverState(m *service.Message) error {
	r := s.round
	switch {
	case r == nil || m.Class != service.Sync || r.whole != nil:
		return errors.New("state outside of a round")
	case len(r.part) == 0 || m.From != r.part[0]:
		return errors.New("state of a node that does not send it")
	case !r.takes:
		return nil
	}
	if err := r.stage(m.Body); err != nil {
		s.x.Log().Error("the surviving state can not be read", "label", "GS_ERROR_ER", "node", m.From, "err", err)
		r.broken = fmt.Errorf("the groups of node %d can not be read, has it another version of this program? %w", m.From, err)
		return err
	}
	return nil
}

// stage takes a piece of the state that is adopted.
func (r *round) stage(message []byte) (err error) {
	b := body.NewReader(message)
	last, piece := b.Bool(), b.Rest()
	if err := b.Close(); err != nil {
		return err
	}
	if len(r.staged)+len(piece) > maxStaged {
		return service.ErrTooBig
	}
	r.staged = append(r.staged, piece...)
	if last {
		r.whole, err = parseDomain(r.staged)
	}
	return err
}

// SyncAbort implements service.Syncer.
func (s *Service) SyncAbort(error) { s.round = nil }

// SyncActivate implements service.Syncer.
func (s *Service) SyncActivate() {
	r := s.round
	s.round = nil
	before, adapters := s.d.hosts, s.d.adapters
	s.merging = !slices.Contains(r.part, s.self)
	void := func() {}
	if s.merging {
		void = s.void()
		s.dissolveAll(r)
	}
	s.members, s.ring = r.members, r.ring
	s.d.viewChange(r.ring, r.part, r.members)
	if s.merging {
		s.merging = false
		s.hostsMoved(before)
		s.d.adaptersChanged(adapters, 0)
	}
	void()
	switch {
	case s.d.formed:
		s.formed()
		s.tellAdapters()
	case len(s.clients) > 0 || s.pending != nil:
		s.form()
	}
	s.forget(0)
}

// dissolveAll ends all groups of this side, and adopts what the surviving one
// has.
func (s *Service) dissolveAll(r *round) {
	used := false
	for _, c := range s.clients {
		if bug.Planted("groups-merge-silent") {
			break
		}
		for _, role := range c.all() {
			used = true
			c.dissolve(role)
		}
		for _, tag := range slices.Sorted(maps.Keys(c.byes)) {
			c.goodbyeDone(tag)
		}
	}
	for name, t := range s.timers {
		t.Stop()
		delete(s.timers, name)
	}
	clear(s.began)
	clear(s.ended) // who ended here has no provider in the surviving part that a script could be run for
	var names []string
	for _, g := range s.d.groups {
		if !g.isCouncil() {
			names = append(names, g.name)
		}
	}
	if len(names) > 0 && s.cfg.Merged != nil {
		s.cfg.Merged(names, r.part)
	}
	if used {
		s.x.Log().Warn("the groups of this side were dissolved in a merge", "label", "GS_DOM_MERGE_ER", "survivors", r.part)
	}
	if r.takes {
		s.adopt(r.whole)
	}
}

// dissolve ends a role in a group of the losing side.
func (c *client) dissolve(r *role) {
	if !r.provider {
		if !systemGroup(r.group) {
			delete(c.roles, r.token)
			c.push(EventSubscription, Subscription{Token: r.token, Has: GotDissolved, Ends: true})
		}
		return
	}
	delete(c.roles, r.token)
	if r.state == leaving {
		return
	}
	g := c.s.d.live(r.group)
	if r.state == joining && bug.Planted("groups-joins-forgotten-in-merge") {
		return
	}
	if r.state == joining || g == nil {
		c.push(EventDelayedError, DelayedError{Token: r.token, Kind: Join, Code: NotOK, Serial: r.serial, Ends: true})
		return
	}
	c.push(EventAnnounce, Announcement{Token: r.token, Summary: GroupDissolved, List: g.providers(), Ends: true})
}

// hostsMoved tells what changed for a node that was on the losing side.
func (s *Service) hostsMoved(before []host) {
	has := func(list []host, n proto.NodeID) bool {
		return slices.ContainsFunc(list, func(h host) bool { return h.node == n })
	}
	var joined, left []proto.NodeID
	for _, h := range before {
		if !has(s.d.hosts, h.node) {
			left = append(left, h.node)
		}
	}
	for _, h := range s.d.hosts {
		if !has(before, h.node) {
			joined = append(joined, h.node)
		}
	}
	if len(left) > 0 {
		s.d.hostsChanged(nil, left)
	}
	if len(joined) > 0 {
		s.d.hostsChanged(joined, nil)
	}
}
