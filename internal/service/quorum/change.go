package quorum

import (
	"slices"
	"time"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// word is what a member said last of its quorum device besides flags.
type word struct {
	name string // of the device, empty: none is registered
	seq  uint64 // of the member's words: one that was overtaken by a round is void
}

// multicast orders a change. It is safe: nobody acts on what the others may
// never get.
func (s *Service) multicast(fn uint16, src service.Source, body []byte) error {
	return s.x.Multicast(fn, service.Normal, service.Safe, src, body)
}

// change applies an ordered message to the table of the ring, at all members at
// the same place.
func (s *Service) change(m service.Message) error {
	switch m.Func {
	case msgChange:
		return s.changeNumbers(m)
	case msgRegister:
		return s.registered(m)
	case msgDevice:
		return s.deviceSaid(m)
	case msgLastMan:
		r := body.NewReader(m.Body)
		ring, err := r.Ring(), r.Close()
		if err == nil && ring == s.shown.ring && !s.passing {
			s.apply(vote.Change{Kind: vote.LastMan})
		}
		return err
	case msgLeave:
		s.apply(vote.Change{Kind: vote.Leave, Node: m.From})
		return nil
	}
	return errNotNow
}

// changeNumbers is a change that an operator asked for; who asked learns what
// became of it.
func (s *Service) changeNumbers(m service.Message) error {
	x, err := parseChange(m.Body)
	code := service.ErrInvalidParam
	if err == nil && s.apply(x) {
		code = service.OK
	}
	if conn, ok := s.x.Local(m.Src); ok {
		if i := slices.IndexFunc(s.clients, func(c *client) bool { return c.conn.ID() == conn.ID() }); i >= 0 {
			s.clients[i].answer(m.Src.Tag, code)
		}
	}
	return err
}

// apply makes a change. What comes while the ring is over is carried into the
// next one, and shown to nobody.
func (s *Service) apply(x vote.Change) bool {
	if !s.cfg.Provider || s.table == nil {
		return false
	}
	d, ok := vote.Apply(s.cfg.Vote, s.shown.ring, s.shown.members, s.table, s.state, x)
	if !ok {
		return false
	}
	if i := slices.IndexFunc(s.past, func(f vote.Info) bool { return f.Node == x.Node }); i >= 0 && x.Kind == vote.SetVotes {
		s.past[i].Votes = x.Value
	}
	s.adopt(&d, x.Kind == vote.AllSeen)
	return true
}

// adopt makes what became of the decision of the ring the state of this node.
func (s *Service) adopt(d *vote.Decision, seen bool) {
	if !s.passing {
		s.settled(s.shown.ring, s.shown.members, d)
		return
	}
	was := s.state
	s.table, s.state = d.Infos, d.Shown
	s.state.Quorate, s.state.Primary = was.Quorate && d.Quorate, d.Noted.Primary
	s.state.Waiting = was.Waiting && !seen
}

// registered is a node's wish to register a quorum device: granted if no other
// name is in use in the ring.
func (s *Service) registered(m service.Message) error {
	name, master, err := parseRegister(m.Body)
	if err != nil {
		return err
	}
	granted := s.nameFree(m.From, name)
	if granted {
		s.words[m.From] = word{name, s.words[m.From].seq}
	}
	if m.From == s.self {
		s.device.answered(name, granted)
	}
	if granted {
		s.apply(vote.Change{Kind: vote.SetDevice, Node: m.From, Device: vote.Device{Registered: true, Master: master}})
	}
	return nil
}

// nameFree reports whether no other member has a device by another name.
func (s *Service) nameFree(node proto.NodeID, name string) bool {
	for _, f := range s.table {
		if f.Node != node && f.Device.Registered && s.words[f.Node].name != name {
			return false
		}
	}
	return true
}

// deviceSaid is news of a node's quorum device. What was said before a round is
// void after it: the node said then what held for the new ring.
func (s *Service) deviceSaid(m service.Message) error {
	d, w, err := parseDevice(m.Body)
	if err != nil {
		return err
	}
	if w.seq <= s.words[m.From].seq && !bug.Planted("quorum-old-device-word") {
		return nil
	}
	s.words[m.From] = w
	s.apply(vote.Change{Kind: vote.SetDevice, Node: m.From, Device: d})
	return nil
}

// window is the time of last_man_standing: when it is over, those who stayed
// expect no more members than there are.
type window struct {
	timer service.Timer
	late  bool // the lowest member had its turn to say so
}

func (w *window) stop() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

func (w *window) restart(s *Service) {
	w.late = false
	w.after(s, s.cfg.Window)
}

func (w *window) after(s *Service, d Duration) {
	w.stop()
	w.timer = s.x.After(d, func() { w.over(s) })
}

// over has the lowest member say that the time is over; the others say it a
// little later if it did not, for it may not have seen anybody leave.
func (w *window) over(s *Service) {
	const soon = time.Second
	w.timer = nil
	switch {
	case s.round != nil || s.passing:
		w.after(s, soon) // a ring is being made
	case !s.shown.quorate || s.shown.votes.Expected <= uint32(len(s.shown.members)):
	case s.shown.members[0] != s.self && !w.late:
		w.late = true
		w.after(s, 2*soon)
	case s.multicast(msgLastMan, service.Source{}, body.AppendRing(nil, s.shown.ring)) != nil:
		w.after(s, soon)
	}
}
