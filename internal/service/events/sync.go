package events

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// round is a synchronisation in work.
type round struct {
	ring    proto.RingID
	members []proto.NodeID // ascending
	offers  []*offer       // of those that run this service
	who     []proto.NodeID // those, ascending
	offered bool           // the own one is sent
	plan    *plan          // when all offers are in
	send    []byte         // what is not told yet
	sending bool
	staged  []byte // what the sender told
	told    *told  // that, when all has come
	state   *state // of it, if this node adopts that
	broken  error  // it can not be read
}

// pieceBytes is how much one message of a round carries; maxStaged bounds what is
// collected.
const (
	pieceBytes = 32 << 10
	maxStaged  = 256 << 20
)

// told is what the sender tells.
type told struct {
	state []byte // nil: nobody needs it
	at    place
	held  []entry
}

func (t *told) appendTo(b []byte) []byte {
	b = body.AppendU32(appendPlace(body.AppendText(b, t.state), t.at), uint32(len(t.held)))
	for i := range t.held {
		b = t.held[i].appendTo(b)
	}
	return b
}

func parseTold(b []byte) (told, error) {
	r := body.NewReader(b)
	t := told{state: r.Text(r.Len()), at: takePlace(&r)}
	for range r.Count(minEntry) {
		t.held = append(t.held, takeEntry(&r))
	}
	return t, r.Close()
}

// ahead are the commits that are held, each with the state without its topics as it will be
// then.
func (s *Service) ahead() iter.Seq2[*commit, *state] {
	return func(yield func(*commit, *state) bool) {
		d := *s.state
		for i := range s.held {
			if c, ok := s.held[i].commit(); ok {
				d.change(c)
				if !yield(c, &d) {
					return
				}
			}
		}
	}
}

// future is the state without its topics as it will be when all that is held is
// applied, and when this node came into the membership then.
func (s *Service) future() (d state, born uint32) {
	d = *s.state
	fresh := s.fresh
	for c, then := range s.ahead() {
		d = *then
		fresh = fresh && !s.means(c)
	}
	if m := d.member(s.self); m != nil && !fresh {
		born = m.Born
	}
	return d, born
}

// means reports whether a commit takes this node in, and not an earlier start of it.
func (s *Service) means(c *commit) bool {
	return slices.ContainsFunc(c.members, func(n newcomer) bool { return n.id == s.self }) &&
		(!s.fresh || slices.Contains(s.rounds, c.ring) || bug.Planted("events-other-life"))
}

// commit is what an entry says of a membership, if it says something and was
// ordered where it was meant to be.
func (e *entry) commit() (*commit, bool) {
	if e.fn != msgCommit {
		return nil, false
	}
	c, err := parseCommit(e.body)
	return &c, err == nil && c.ring == e.at.ring
}

// offer is what this node says at the start of a round.
func (s *Service) offer() *offer {
	d, born := s.future()
	o := &offer{latest: d.view, at: s.state.at, born: born, trans: max(s.trans, d.trans), addr: s.cfg.Addr, boot: s.cfg.Boot, weight: s.state.weight(),
		state: sha256.Sum256(s.state.appendTo(nil, time.Time{}))}
	if born == 0 {
		o.agreed = slices.Clone(s.rounds)
	}
	for i := range s.held {
		o.held = append(o.held, s.held[i].at)
	}
	return o
}

// SyncDigest implements service.Syncer. When each member came, and what else there is
// to know of it, does not count: that is in the state. Of a new one it is not, so two
// are never the same.
func (s *Service) SyncDigest() service.Digest {
	o, self := s.offer(), s.self
	if o.born != 0 {
		o.born, o.addr, o.boot, self = 1, netip.Addr{}, 0, 0
	}
	return sha256.Sum256(o.appendTo(body.AppendNode(nil, self)))
}

// SyncInit implements service.Syncer.
func (s *Service) SyncInit(r service.Round) {
	s.direct, s.awaits = false, false
	s.round = &round{ring: r.Ring, members: slices.Clone(r.Members)}
	for _, p := range r.Peers {
		if p.Has {
			s.round.who = append(s.round.who, p.Node)
		}
	}
	s.round.offers = make([]*offer, len(s.round.who))
	if r.Same {
		d, born := s.future()
		own := s.offer()
		for i, n := range s.round.who {
			o := *own
			if m := d.member(n); m != nil && born != 0 {
				o.born, o.addr, o.boot = m.Born, m.Addr, m.Boot
			}
			s.round.offers[i] = &o
		}
		s.round.decide()
	}
}

// takes reports whether this node needs what the sender tells.
func (r *round) takes(self proto.NodeID) bool {
	return r.plan.sender != self && (!r.plan.uniform || len(r.plan.adopt) > 0)
}

// decide makes the plan when all offers are in.
func (r *round) decide() {
	if !slices.Contains(r.offers, nil) {
		p := makePlan(r.who, r.offers)
		r.plan = &p
	}
}

// SyncProcess implements service.Syncer. It says what this node has, waits for
// what the others say, and tells what they need if it is for this node to do so. A node
// that can not read what it is told leaves, instead of going on with something else.
func (s *Service) SyncProcess(budget int) (done bool, err error) {
	r := s.round
	if !r.offered {
		if err := s.x.Multicast(msgOffer, service.Sync, service.Agreed, service.Source{}, s.offer().appendTo(nil)); err != nil {
			return false, nil // no room: the next call goes on
		}
		r.offered = true
		budget--
	}
	if r.plan == nil {
		return false, nil
	}
	if r.takes(s.self) {
		return r.told != nil, r.broken
	}
	for ; budget > 0 && r.sending; budget-- {
		piece := r.send[:min(len(r.send), pieceBytes)]
		last := len(piece) == len(r.send)
		b := append(body.AppendBool(nil, last), piece...)
		if err := s.x.Multicast(msgState, service.Sync, service.Agreed, service.Source{}, b); err != nil {
			return false, nil
		}
		r.send, r.sending = r.send[len(piece):], !last
	}
	return !r.sending, nil
}

// deliverSync stages what a member says in a round.
func (s *Service) deliverSync(m *service.Message) error {
	r := s.round
	if r == nil {
		return errors.New("message of a round outside of one")
	}
	i := slices.Index(r.who, m.From)
	switch {
	case i < 0:
		return errors.New("message of a round of a node that is not in it")
	case m.Func == msgOffer:
		o, err := parseOffer(m.Body)
		if err != nil {
			o = &offer{} // at all members alike: the node will adopt what the others have
		}
		if r.offers[i] == nil {
			r.offers[i] = o
			r.decide()
			s.prepare()
		}
		return err
	case r.plan == nil || m.From != r.plan.sender || r.told != nil:
		return errors.New("state of a node that does not send it")
	case !r.takes(s.self):
		return nil
	}
	if err := s.collect(r, m.Body); err != nil {
		r.broken = fmt.Errorf("the events of node %d can not be read, has it another version of this program? %w", m.From, err)
		return r.broken
	}
	return nil
}

// collect takes a piece of what the sender tells, and reads it all with the last.
func (s *Service) collect(r *round, message []byte) error {
	b := body.NewReader(message)
	last, piece := b.Bool(), b.Rest()
	if err := b.Close(); err != nil {
		return err
	}
	if len(r.staged)+len(piece) > maxStaged {
		return service.ErrTooBig
	}
	if r.staged = append(r.staged, piece...); !last {
		return nil
	}
	t, err := parseTold(r.staged)
	if err == nil && slices.Contains(r.plan.adopt, s.self) {
		r.state, err = parseState(t.state, s.x.Now())
	}
	if err == nil {
		r.told = &t
	}
	return err
}

// prepare readies what this node tells, once the plan says that it does.
func (s *Service) prepare() {
	r := s.round
	if r.plan == nil || r.plan.sender != s.self || r.plan.uniform && len(r.plan.adopt) == 0 {
		return
	}
	t := told{at: s.state.at, held: s.held}
	if len(r.plan.adopt) > 0 {
		t.state = s.state.appendTo(nil, s.x.Now())
	}
	r.send, r.sending = t.appendTo(nil), true
}

// SyncAbort implements service.Syncer.
func (s *Service) SyncAbort(error) { s.round = nil }

// SyncActivate implements service.Syncer. What it stages is applied with the
// commit of the ring.
func (s *Service) SyncActivate() {
	r := s.round
	s.round = nil
	if r.plan == nil { // of a member that runs no such service: nobody is here
		return
	}
	if r.takes(s.self) {
		s.stage(r)
	}
	s.trans = max(s.trans, r.plan.trans)
	s.ring, s.awaits = r.ring, true
	if !s.fresh {
		s.rounds = s.rounds[:0]
	}
	s.rounds = append(s.rounds, r.ring)
	if s.self == r.who[0] {
		s.propose(r)
	}
}

// stage takes over what the sender holds, and all that it has if this node's state
// is none that the sender's came from.
func (s *Service) stage(r *round) {
	before := s.held
	if r.state != nil {
		s.release(before)
		s.held = r.told.held
		s.adopt(r.state, s.inheritance(r))
		return
	}
	_, was := s.future()
	s.held = rebase(s.state.at, before, r.told.at, r.told.held)
	s.release(slices.DeleteFunc(slices.Clone(before), func(e entry) bool {
		return slices.ContainsFunc(s.held, func(o entry) bool { return o.at == e.at })
	}))
	if _, born := s.future(); was != 0 && born != was { // the others went on: who registers from now on has no part in what was
		if s.born() != 0 {
			s.evict()
		}
		if s.fresh = true; !bug.Planted("events-held-counts") {
			s.rounds = nil // nor is it a member by a commit that is held of one of those rounds
		}
		s.news()
	} else if s.fresh && s.passed() {
		s.rounds = nil
	}
}

// passed reports whether what is held takes this node in, and has it out later: that was
// over before it heard of it.
func (s *Service) passed() bool {
	in := false
	for c, d := range s.ahead() {
		if in = in || s.means(c); in && d.member(s.self) == nil {
			return true
		}
	}
	return false
}

// adopt makes the state of another part this node's. What only this part has is
// brought to the others later.
func (s *Service) adopt(d *state, brings []*brought) {
	old := s.state
	if old.member(s.self) != nil && !s.fresh && !bug.Planted("events-evicted-silent") {
		s.evict()
	}
	s.remember(old)
	s.state, s.fresh, s.limbo, s.rounds = d, true, false, nil
	s.restore(old, brings)
	s.catchUp()
	s.news()
}

// remember has subscriptions know what they got, or came too late for, of events that
// come again: when they are brought to the others, or because they were, and have another
// number there.
func (s *Service) remember(old *state) {
	for t := range old.all() {
		for _, e := range t.kept {
			for _, u := range s.subs[t.number] {
				if e.seq <= u.last {
					u.open.seen[e.id] = true
				}
			}
		}
	}
}

// bornBy is when a member comes by a commit that is held of a round that ended at
// it, though it has not got that commit itself; zero: there is none.
func (s *Service) bornBy(n proto.NodeID, agreed []proto.RingID) (born uint32) {
	if bug.Planted("events-commit-unheard") {
		return 0
	}
	for c, d := range s.ahead() {
		if m := d.member(n); m == nil || m.Born != born {
			born = 0
			if m != nil && slices.Contains(agreed, c.ring) {
				born = m.Born
			}
		}
	}
	return born
}

// propose multicasts the membership of the ring.
func (s *Service) propose(r *round) {
	c := commit{ring: r.ring, trans: s.trans + 1, eligible: slices.Clone(s.x.Nodes().Configured())}
	slices.Sort(c.eligible)
	for i, n := range r.who {
		m := newcomer{id: n, name: s.x.Nodes().Name(n), born: r.offers[i].born, addr: r.offers[i].addr, boot: r.offers[i].boot}
		switch {
		case slices.Contains(r.plan.adopt, n):
			m.born = 0
		case m.born == 0:
			m.born = s.bornBy(n, r.offers[i].agreed)
		}
		c.members = append(c.members, m)
	}
	s.retry(func() bool {
		return !s.awaits || s.ring != r.ring || s.multicast(msgCommit, service.Source{}, c.appendTo(nil)) == service.OK
	})
}
