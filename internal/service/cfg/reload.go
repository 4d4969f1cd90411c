package cfg

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/service"
)

// reading is the own file, as it is read for a reload.
type reading struct {
	done bool
	file File
	err  error // it cannot be taken
}

// voting is a reload that this node is asked about.
type voting struct {
	groups.Motion
	voted   bool
	refused []string // by Agree, which has the last word
}

// request is a client here that asked for a reload.
type request struct {
	tries    int // that a change of the nodes ended
	proposed bool
	expiry   service.Timer // before it is proposed
	reply    func(service.Code, []byte)
}

// reloadTime is how long members have to say what they think: a file may be on a
// server that hangs. A ring that keeps changing ends a reload after maxTries.
const (
	reloadTime = 30 * time.Second
	maxTries   = 5
)

// startReload begins a reload for a client.
func (s *Service) startReload(reply func(service.Code, []byte)) {
	if s.request != nil || s.voting != nil {
		reply(service.ErrBusyCode, nil)
		return
	}
	s.request = &request{reply: reply}
	s.attempt()
}

// attempt reads the own file, for what it is called in the vote. The vote has a
// limit of its own.
func (s *Service) attempt() {
	q := s.request
	q.proposed = false
	q.expiry = s.x.After(reloadTime, func() {
		s.x.Log().Error("The configuration stays as it is: it cannot be read in time", "waited", reloadTime)
		s.finish(service.ErrTimeout)
		s.answer(service.ErrTimeout)
	})
	s.read()
}

// answer tells the client here what its reload came to, and who refused it.
func (s *Service) answer(code service.Code, refused ...string) {
	q := s.request
	s.request = nil
	q.expiry.Stop()
	q.reply(code, []byte(strings.Join(refused, "\n")))
}

// read has the own file read, once for a reload, and goes on when that is done.
func (s *Service) read() {
	if s.reading != nil {
		if s.reading.done {
			s.goOn()
		}
		return
	}
	r := &reading{}
	s.reading = r
	s.host.Check(func(f File, err error) {
		if s.reading == r {
			r.done, r.file, r.err = true, f, err
			s.goOn()
		}
	})
}

// goOn does what the own file was read for.
func (s *Service) goOn() {
	r := s.reading
	if q := s.request; q != nil && !q.proposed && s.voting == nil {
		q.proposed = true
		q.expiry.Stop()
		s.nodes.Propose(r.file.id(), reloadTime)
	}
	if v := s.voting; v != nil && !v.voted {
		v.voted = true
		if r.err != nil {
			s.nodes.Say(v.Motion, false, []byte(oneLine(r.err)))
		} else {
			s.nodes.Say(v.Motion, true, r.file.Facts[:min(len(r.file.Facts), maxFacts)])
		}
	}
}

// The longest sentence of a refusal and the most facts, in bytes.
const (
	maxWhy   = 1024
	maxFacts = 1024
)

// oneLine is a refusal as it stands in logs and answers.
func oneLine(err error) string {
	why := strings.ReplaceAll(err.Error(), "\n", "; ")
	return why[:min(len(why), maxWhy)]
}

// id tells one change from another; of a file that cannot be taken there is none.
func (f *File) id() []byte {
	sum := sha256.Sum256(f.Facts)
	return append(body.AppendU64(nil, f.Version), sum[:]...)
}

// finish ends the reading, with what was read in force or forgotten.
func (s *Service) finish(code service.Code) {
	if s.reading == nil {
		return
	}
	s.reading = nil
	if code == service.OK {
		s.host.Apply()
	} else {
		s.host.Drop(code)
	}
}

// council is the Service as the council of the nodes sees it.
type council Service

var _ groups.Council = (*council)(nil)

// Asked implements groups.Council. Of two reloads the first one counts.
func (c *council) Asked(m groups.Motion) {
	s := (*Service)(c)
	s.voting = &voting{Motion: m}
	s.x.Log().Info("Reloading the configuration", "asked by", s.x.Nodes().Name(m.By))
	s.host.ReloadOrdered(m.By)
	if s.request != nil && !s.request.proposed {
		s.answer(service.ErrBusyCode)
	}
	s.read()
}

// Judge implements groups.Council: all are content with their own files, but do
// these go together?
func (c *council) Judge(m groups.Motion, said []groups.Ballot) bool {
	var facts []Facts
	for _, b := range said {
		facts = append(facts, Facts{b.Node, b.Message})
	}
	refused := c.host.Agree(m.By, facts)
	if v := c.voting; v != nil {
		v.refused = refused
	}
	return len(refused) == 0
}

// Ended implements groups.Council.
func (c *council) Ended(m groups.Motion, o groups.Outcome, said []groups.Ballot) {
	s := (*Service)(c)
	v := s.voting
	if v == nil || v.Seq != m.Seq {
		return
	}
	s.voting = nil
	mine := m.By == s.x.Self() && s.request != nil && s.request.proposed
	switch o {
	case groups.Interrupted:
		s.interrupted(mine)
	case groups.Lost:
		code, refused := s.lost(v, said)
		s.finish(code)
		if mine {
			s.answer(code, refused...)
		}
	case groups.Carried:
		s.finish(service.OK)
		if mine {
			s.answer(service.OK)
		}
		s.sendVersion()
	}
}

// lost says who refused a reload and why, or who said nothing in time.
func (s *Service) lost(v *voting, said []groups.Ballot) (service.Code, []string) {
	refused, late := v.refused, []string(nil)
	for _, b := range said {
		name := s.x.Nodes().Name(b.Node)
		switch b.Vote {
		case groups.Reject:
			refused = append(refused, fmt.Sprintf("%s: %s", name, b.Message))
		case groups.NullVote:
			late = append(late, name)
		}
	}
	if len(late) > 0 {
		s.x.Log().Error("The configuration stays as it is: not all members said in time what they think of theirs", "missing", late)
	}
	for _, why := range refused {
		s.x.Log().Error("The configuration stays as it is: it was refused by " + why)
	}
	if len(refused) == 0 {
		return service.ErrTimeout, nil
	}
	for _, name := range late {
		refused = append(refused, name+": it did not say in time what it thinks of its file")
	}
	return service.ErrInvalidParam, refused
}

// interrupted ends a reload because the nodes are not the same any more; the one
// that was asked tries anew.
func (s *Service) interrupted(mine bool) {
	s.finish(service.ErrInterrupt)
	q := s.request
	if !mine || q == nil {
		return
	}
	if q.tries++; q.tries == maxTries {
		s.answer(service.ErrAgain)
		return
	}
	s.attempt()
}

// Refused implements groups.Council.
func (c *council) Refused(busy bool) {
	s := (*Service)(c)
	switch {
	case s.request == nil || !s.request.proposed:
	case busy:
		s.answer(service.ErrBusyCode)
		if s.voting == nil {
			s.finish(service.ErrBusyCode)
		}
	default:
		s.interrupted(true)
	}
}

// Groups makes the Group Services of this node, in whose council the nodes vote on
// reloads. It is called once, before any client is there.
func (s *Service) Groups(c groups.Config) *groups.Service {
	c.Council = (*council)(s)
	s.nodes = groups.New(c)
	return s.nodes
}
