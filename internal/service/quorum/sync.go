package quorum

import (
	"errors"
	"slices"
	"time"

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
	words   map[proto.NodeID]word
	decided *vote.Decision
	stored  bool // what must be durable before the own barrier is
	patient service.Timer
}

// SyncDigest implements service.Syncer. It is never equal: the infos must be
// heard in every round (ordering 4.1).
func (s *Service) SyncDigest() service.Digest { return service.Digest{} }

// SyncInit implements service.Syncer.
func (s *Service) SyncInit(r service.Round) {
	s.round = &round{ring: r.Ring, members: slices.Clone(r.Members), words: make(map[proto.NodeID]word)}
	for _, p := range r.Peers {
		if p.Has {
			s.round.voters++
		}
	}
	s.tellNodelist(r.Ring, r.Members)
	s.device.newRing()
	s.bePatient(s.round)
}

// patience is how often a member that holds a round up by itself says so: the
// others would give the ring up some time (ordering 4.1).
const patience = 10 * time.Second

// bePatient asks the others for patience again and again while the round waits
// for the quorum device or the disk of this node, and for nothing else.
func (s *Service) bePatient(r *round) {
	r.patient = s.x.After(patience, func() {
		if s.round != r {
			return
		}
		if s.device.waiting || r.decided != nil && !r.stored {
			_ = s.x.Multicast(msgWait, service.Sync, service.Agreed, service.Source{}, nil)
		}
		s.bePatient(r)
	})
}

// SyncProcess implements service.Syncer: it ends when the decision is noted, and
// stored if it must be. A registered device that was alive is waited for, so
// that the info has its word about this ring. A node without a provider tells
// its info too, others may wait for it.
func (s *Service) SyncProcess(int) (done bool, err error) {
	r := s.round
	if !r.sent && !s.device.waiting {
		info := s.cfg.Vote.Announce(s.state)
		info.Device = s.device.now
		s.scratch = appendInfo(s.scratch[:0], info, word{s.device.name, s.device.seq})
		if s.x.Multicast(msgInfo, service.Sync, service.Agreed, service.Source{}, s.scratch) == nil {
			r.sent = true
			s.device.told()
		}
	}
	return r.decided != nil && (r.stored || bug.Planted("quorum-tie-not-stored")), nil
}

// Deliver implements service.Service.
func (s *Service) Deliver(m service.Message) {
	var err error
	switch {
	case m.Class != service.Sync:
		err = s.change(m)
	case m.Func == msgInfo:
		err = s.take(m)
	}
	if err != nil {
		s.x.Log().Warn("message ignored", "service", "quorum", "node", m.From, "err", err)
	}
}

var errNotNow = errors.New("not expected now")

// take notes a member's info, and with the last one the decision. An info that
// can not be read counts as one without votes: at all members alike, and the
// round goes on.
func (s *Service) take(m service.Message) error {
	r := s.round
	if r == nil || r.decided != nil {
		return errNotNow
	}
	if _, twice := vote.Find(r.infos, m.From); twice {
		return errors.New("second info in one round")
	}
	info, w, err := parseInfo(m.From, m.Body)
	if err != nil {
		info, w = vote.Info{Node: m.From}, word{}
	}
	r.infos = append(r.infos, info)
	r.words[m.From] = w
	if len(r.infos) == r.voters {
		s.note()
	}
	return err
}

// note decides and keeps what must be known before the own barrier.
func (s *Service) note() {
	r := s.round
	d := vote.Decide(s.cfg.Vote, r.ring, r.members, r.infos, s.state)
	r.decided, r.stored = &d, true
	if !s.cfg.Provider {
		return
	}
	s.state = d.Noted
	switch {
	case d.Quorate && s.cfg.Vote.NotesFirst():
		r.stored = false
		s.keep(func(err error) { r.stored = err == nil })
	case d.Quorate:
		s.keep(nil)
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
	s.endRound()
	s.passing = false
}

// activate shows the decision of the round.
func (s *Service) activate() {
	r := s.round
	d := r.decided
	if d == nil { // the executive activates after the process phase only
		return
	}
	s.passing = false
	s.remember(d.Infos)
	s.words = r.words
	s.settled(r.ring, r.members, d)
	if d.WindowNeeded(s.lost) && s.cfg.Vote.LastMan {
		s.window.restart(s)
	}
	s.lost = false
}

// settled makes the outcome of a decision the state of this node, and shows it.
func (s *Service) settled(ring proto.RingID, members []proto.NodeID, d *vote.Decision) {
	before := s.state
	s.state, s.table = d.Shown, d.Infos
	if before.Primary.Epoch != s.state.Primary.Epoch || before.Barrier != s.state.Barrier || s.record.Tracked != s.state.Tracked {
		s.keep(nil)
	}
	s.show(decision{quorate: d.Quorate, ring: ring, members: members, votes: d.Votes, row: d.Row})
}

// remember keeps the rows of nodes that are no members any more.
func (s *Service) remember(table []vote.Info) {
	for _, f := range s.table {
		s.past = slices.DeleteFunc(s.past, func(o vote.Info) bool { return o.Node == f.Node })
		s.past = append(s.past, f)
	}
	s.past = slices.DeleteFunc(s.past, func(o vote.Info) bool { _, here := vote.Find(table, o.Node); return here })
}

// activateFree shows that a ring without a provider may act.
func (s *Service) activateFree() {
	r := s.round
	s.state.Primary = proto.Primary{Epoch: proto.Epoch(r.ring.Seq), Members: r.members}
	s.show(decision{quorate: true, ring: r.ring, members: r.members, row: vote.RowNoProvider})
}

// SyncAbort implements service.Syncer. What was noted stays noted.
func (s *Service) SyncAbort(error) { s.endRound() }

func (s *Service) endRound() {
	if s.round != nil {
		s.round.patient.Stop()
		s.round = nil
	}
}
