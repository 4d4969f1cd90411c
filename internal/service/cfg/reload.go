package cfg

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// reload is an attempt in work; all members have the same one.
type reload struct {
	attempt
	missing []proto.NodeID // have not said what they think
	refused []string       // sentences
	facts   []Facts        // ascending
}

// request is a client here that asked for a reload.
type request struct {
	no     uint64 // of the attempt
	tries  int    // attempts that a change of the ring ended
	reply  func(service.Code, []byte)
	expiry service.Timer
}

// A reload that members do not answer for is given up: a file on a server that
// hangs, for example. A ring that keeps changing ends one too.
const (
	reloadTime = 30 * time.Second
	maxTries   = 5
)

// startReload begins an attempt for a client.
func (s *Service) startReload(reply func(service.Code, []byte)) {
	if s.request != nil || s.reload != nil {
		reply(service.ErrBusyCode, nil)
		return
	}
	s.request = &request{reply: reply}
	s.attempt()
}

// attempt orders the attempt of the client here.
func (s *Service) attempt() {
	s.made++
	s.request.no = s.made
	a := attempt{s.x.Self(), s.made}
	s.send(msgReload, service.Agreed, a.append(nil))
	s.request.expiry = s.x.After(reloadTime, func() {
		s.request.expiry = nil
		s.send(msgReloadAbort, service.Agreed, a.append(nil))
	})
}

// answer tells the client here what its attempt came to, and who refused it.
func (s *Service) answer(a attempt, code service.Code, refused ...string) {
	q := s.request
	if a.origin != s.x.Self() || q == nil || q.no != a.no {
		return
	}
	s.request = nil
	if q.expiry != nil {
		q.expiry.Stop()
	}
	q.reply(code, []byte(strings.Join(refused, "\n")))
}

// reloadOrdered begins an attempt at its place in the order. Of two, the first
// one counts.
func (s *Service) reloadOrdered(from proto.NodeID, a attempt) {
	if a.origin != from {
		return
	}
	if s.reload != nil {
		s.answer(a, service.ErrBusyCode)
		return
	}
	r := &reload{attempt: a, missing: slices.Clone(s.voters)}
	s.reload = r
	s.x.Log().Info("Reloading the configuration", "asked by", s.x.Nodes().Name(from))
	s.host.Check(func(facts []byte, err error) {
		if s.reload != r {
			return
		}
		v := verdict{attempt: a, facts: facts[:min(len(facts), maxFacts)]}
		if err != nil {
			v.why = err.Error()
		}
		s.send(msgVerdict, service.Safe, v.append(nil))
	})
}

// verdictOrdered counts what a member thinks.
func (s *Service) verdictOrdered(from proto.NodeID, v verdict) {
	r := s.reload
	if r == nil || r.attempt != v.attempt {
		return
	}
	i := slices.Index(r.missing, from)
	if i < 0 {
		return
	}
	r.missing = slices.Delete(r.missing, i, i+1)
	if v.why != "" {
		r.refused = append(r.refused, fmt.Sprintf("%s: %s", s.x.Nodes().Name(from), strings.ReplaceAll(v.why, "\n", "; ")))
	}
	at, _ := slices.BinarySearchFunc(r.facts, from, func(f Facts, id proto.NodeID) int { return cmp.Compare(f.Node, id) })
	r.facts = slices.Insert(r.facts, at, Facts{from, v.facts})
	if len(r.missing) > 0 {
		return
	}
	s.reload = nil
	if len(r.refused) == 0 {
		r.refused = s.host.Agree(r.origin, r.facts)
	}
	if len(r.refused) > 0 {
		for _, why := range r.refused {
			s.x.Log().Error("The configuration stays as it is: it was refused by " + why)
		}
		s.host.Drop(service.ErrInvalidParam)
		s.answer(r.attempt, service.ErrInvalidParam, r.refused...)
		return
	}
	s.host.Apply()
	s.answer(r.attempt, service.OK)
	s.sendVersion()
}

// abortOrdered ends an attempt that took too long.
func (s *Service) abortOrdered(from proto.NodeID, a attempt) {
	if a.origin != from {
		return
	}
	if r := s.reload; r != nil && r.attempt == a {
		s.reload = nil
		var names []string
		for _, id := range r.missing {
			names = append(names, s.x.Nodes().Name(id))
		}
		s.x.Log().Error("The configuration stays as it is: not all members said in time what they think of theirs", "missing", names)
		s.host.Drop(service.ErrTimeout)
	}
	s.answer(a, service.ErrTimeout)
}

// interrupt ends an attempt because the ring changed; the member that was asked
// tries anew. An attempt whose order is still on its way begins in the new ring.
func (s *Service) interrupt() {
	r := s.reload
	if r == nil {
		return
	}
	s.reload = nil
	s.host.Drop(service.ErrInterrupt)
	q := s.request
	if r.origin != s.x.Self() || q == nil || q.no != r.no {
		return
	}
	if q.expiry != nil {
		q.expiry.Stop()
	}
	if q.tries++; q.tries == maxTries {
		s.answer(r.attempt, service.ErrAgain)
		return
	}
	s.attempt()
}
