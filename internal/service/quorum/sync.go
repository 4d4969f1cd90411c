package quorum

import (
	"errors"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// round is a synchronisation in work.
type round struct {
	ring    proto.RingID
	members []proto.NodeID
	voters  int // members that run this service, whose infos are waited for
	sent    bool
	infos   []vote.Info
	decided *vote.Decision
}

// SyncDigest implements service.Syncer. It is never equal: the infos must be
// heard in every round (ordering 4.1).
func (s *Service) SyncDigest() service.Digest { return service.Digest{} }

// SyncInit implements service.Syncer.
func (s *Service) SyncInit(r service.Round) {
	s.round = &round{ring: r.Ring, members: slices.Clone(r.Members)}
	for _, p := range r.Peers {
		if p.Has {
			s.round.voters++
		}
	}
	s.tellNodelist(r.Ring, r.Members)
}

// SyncProcess implements service.Syncer: it ends when the decision is noted. A
// node without a provider tells its info too, others may wait for it.
func (s *Service) SyncProcess(int) (done bool, err error) {
	r := s.round
	if !r.sent {
		s.scratch = appendInfo(s.scratch[:0], s.cfg.Vote.Announce(s.state))
		err := s.x.Multicast(msgInfo, service.Sync, service.Agreed, service.Source{}, s.scratch)
		r.sent = err == nil
	}
	return r.decided != nil, nil
}

// Deliver implements service.Service.
func (s *Service) Deliver(m service.Message) {
	if err := s.take(m); err != nil {
		s.x.Log().Warn("message ignored", "service", "quorum", "node", m.From, "err", err)
	}
}

// take notes a member's info, and with the last one the decision. An info that
// can not be read counts as one without votes: at all members alike, and the
// round goes on.
func (s *Service) take(m service.Message) error {
	r := s.round
	if r == nil || m.Func != msgInfo || m.Class != service.Sync || r.decided != nil {
		return errors.New("not expected now")
	}
	if slices.ContainsFunc(r.infos, func(f vote.Info) bool { return f.Node == m.From }) {
		return errors.New("second info in one round")
	}
	info, err := parseInfo(m.From, m.Body)
	if err != nil {
		info = vote.Info{Node: m.From}
	}
	r.infos = append(r.infos, info)
	if len(r.infos) == r.voters {
		s.note()
	}
	return err
}

// note decides and keeps what must be known before the own barrier.
func (s *Service) note() {
	r := s.round
	d := vote.Decide(s.cfg.Vote, r.ring, r.members, r.infos, s.state)
	r.decided = &d
	if !s.cfg.Provider {
		return
	}
	s.state = d.Noted
	if d.Quorate {
		s.keep()
	}
	if bug.Planted("quorum-shown-before-barriers") {
		s.activate()
	}
}

// SyncActivate implements service.Syncer.
func (s *Service) SyncActivate() {
	if !s.cfg.Provider {
		s.activateFree()
	} else if !bug.Planted("quorum-shown-before-barriers") {
		s.activate()
	}
	s.round = nil
}

// activate shows the decision of the round.
func (s *Service) activate() {
	r := s.round
	d := r.decided
	if d == nil { // the executive activates after the process phase only
		return
	}
	s.state = d.Shown
	s.infos = r.infos
	if d.Quorate {
		s.keep()
	}
	s.show(decision{quorate: d.Quorate, ring: r.ring, members: r.members, votes: d.Votes, row: d.Row})
}

// activateFree shows that a ring without a provider may act.
func (s *Service) activateFree() {
	r := s.round
	s.state.Primary = proto.Primary{Epoch: proto.Epoch(r.ring.Seq), Members: r.members}
	s.show(decision{quorate: true, ring: r.ring, members: r.members, row: vote.RowNoProvider})
}

// SyncAbort implements service.Syncer. What was noted stays noted.
func (s *Service) SyncAbort(error) { s.round = nil }
