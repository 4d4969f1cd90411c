package groups

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// Config is what the service needs of its node.
type Config struct {
	// Domain is the name that clients may ask for; empty: any will do.
	Domain string
	// Allow decides who may be a client; nil: everybody that the door let in.
	Allow func(service.Cred) bool
	// Council votes for this node among the nodes; nil: it is against everything.
	Council Council
	// Over is given the minutes of each protocol, of all groups. Merged is told that
	// the groups of this side were dissolved in a merge. Nil: nobody wants to know.
	Over   func(Minutes)
	Merged func(groups []string, survivors []proto.NodeID)
	// Run starts a deactivate script, logs how it ended, and calls done on the
	// executive's goroutine when it has. Nil: there is nobody to run scripts, all
	// are unsuccessful.
	Run func(s Script, done func(ok, timedOut bool))
}

// Script is one run of a deactivate script (group services 12.2).
type Script struct {
	Path      string
	Domain    string // as the client said; may be empty
	Subsystem string
	PID       int32
	Cred      service.Cred
	Limit     time.Duration // zero: none
	Flag      string
	Group     string
	Instance  int16
	Reason    string // "expel" or "failure"
}

// Service is the group service of one node.
type Service struct {
	cfg      Config
	x        service.Executive
	self     proto.NodeID
	d        *domain
	clients  []*client              // ascending by connection
	members  []proto.NodeID         // as of the last activation
	ring     proto.RingID           // of the last activation
	timers   map[string]phaseTimer  // of phases in work, by group
	began    map[string]time.Time   // phases in work, by group; for people
	forming  bool                   // msgForm is on its way
	owed     []owed                 // messages that found no room, oldest first
	ended    map[uint64]endedClient // of connections that are gone, until all know
	round    *round                 // in work
	adapters []Adapter              // of this node
	pending  *pending               // motion of this node; nil: none
	asked    uint64                 // motion that the council here was asked about; zero: none
	merging  bool                   // the other side's state was adopted, its last change is not made
}

var (
	_ service.Syncer  = (*Service)(nil)
	_ service.Chooser = (*Service)(nil)
	_ service.Dumper  = (*Service)(nil)
	_ service.Aborter = (*Service)(nil)
	_ service.Holder  = (*client)(nil)
	_ outside         = (*Service)(nil)
)

// owed is a message that cannot be refused. Its head is written when it goes.
type owed struct {
	fn    uint16
	src   service.Source
	group string
	body  []byte
}

// owedRetry is how long an owed message waits until it is tried again.
const owedRetry = 20 * time.Millisecond

// New makes the service.
func New(c Config) *Service {
	s := &Service{cfg: c, timers: map[string]phaseTimer{}, began: map[string]time.Time{}, ended: map[uint64]endedClient{}}
	s.adopt(&domain{})
	return s
}

// adopt makes d the state.
func (s *Service) adopt(d *domain) {
	d.out = s
	s.d = d
}

// Info implements service.Service.
func (s *Service) Info() service.Info {
	calls := [numCalls]service.Call{
		CallHello:       {Name: "hello", Flow: true},
		CallJoin:        {Name: "join", Flow: true},
		CallLeave:       {Name: "leave", Flow: true},
		CallExpel:       {Name: "expel", Flow: true},
		CallState:       {Name: "change state value", Flow: true},
		CallAttributes:  {Name: "change attributes", Flow: true},
		CallMessage:     {Name: "send message", Flow: true},
		CallVote:        {Name: "vote", Flow: true},
		CallGoodbye:     {Name: "goodbye", Flow: true},
		CallSubscribe:   {Name: "subscribe", Flow: true},
		CallUnsubscribe: {Name: "unsubscribe", Local: true},
		CallResponse:    {Name: "response", Local: true},
		CallQuit:        {Name: "quit", Flow: true},
	}
	calls[0].Name, calls[2].Name = "none", "none"
	return service.Info{Name: "groups", ID: ID, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: true, Independent: true, ClientBytes: MaxWaiting, Calls: calls[:]}
}

// Start implements service.Service.
func (s *Service) Start(x service.Executive) error {
	s.x, s.self = x, x.Self()
	s.members = []proto.NodeID{s.self}
	return nil
}

// Stop implements service.Service.
func (s *Service) Stop() {
	if s.d.formed {
		s.x.Log().Info("this node leaves the domain", "label", "GS_STOP_ST")
	}
}

// Aborting implements service.Aborter.
func (s *Service) Aborting(record string) {
	for _, c := range slices.Clone(s.clients) {
		if c.said != nil && c.greet == nil {
			c.push(EventFailure, Failure{record[:min(len(record), MaxRecord)]})
		}
	}
}

// ConfigChange implements service.Service. What changes does so when the
// synchronisation is activated.
func (s *Service) ConfigChange(service.ConfigChange) {}

// Deliver implements service.Service.
func (s *Service) Deliver(m service.Message) {
	if err := s.deliver(&m); err != nil {
		s.x.Log().Warn("message ignored", "service", "groups", "node", m.From, "err", err)
	}
}

func (s *Service) deliver(m *service.Message) error {
	switch {
	case m.Func == msgState:
		return s.deliverState(m)
	case !slices.Contains(s.members, m.From) || m.Class != service.Normal:
		return nil // of a node that this one is not synchronised with
	case m.Func == msgForm:
		if !s.d.formed {
			s.x.Log().Info("the domain is formed", "label", "GS_START_ST", "ring", s.ring)
		}
		s.d.form(s.ring, s.members)
		s.formed()
		s.tellAdapters()
		return nil
	}
	r := body.NewReader(m.Body)
	h := takeHead(&r)
	if from, known := s.d.host(m.From); !known || from.term != h.term && !bug.Planted("groups-void-counts") {
		return nil // sent before a merge in which its side was dissolved
	}
	return s.apply(m, h, &r)
}

// apply hands an ordered message to the domain.
func (s *Service) apply(m *service.Message, h head, r *body.Reader) error {
	g := s.d.group(h.group)
	own := func(i int16) Provider { return Provider{i, int16(m.From)} }
	if h.group == CouncilName {
		own = func(int16) Provider { return chair(m.From) }
	}
	switch m.Func {
	case msgJoin:
		level, q := r.U16(), JoinRequest{}
		var err error
		if q, err = ParseJoin(r.Rest()); err != nil {
			return err
		}
		if name([]byte(h.group)) != OK || reserved(h.group) {
			return fmt.Errorf("a join to %q: %w", h.group, body.ErrMalformed)
		}
		s.deliverJoin(m, h, level, &q)
		return nil
	case msgPropose:
		who, kind, q := own(int16(r.U16())), Kind(r.U8()), takeProposal(r)
		if err := r.Close(); err != nil {
			return err
		}
		if !kind.proposable() || q.valid(kind) != OK {
			return fmt.Errorf("a proposal of kind %d: %w", kind, body.ErrMalformed)
		}
		if h.group == CouncilName {
			g = s.d.council()
		}
		if p := provider(g, who, m); p != nil {
			s.d.propose(g, p, kind, &q, m.Src.Tag)
		}
		return nil
	case msgVote:
		who, q := own(int16(r.U16())), takeVoteRequest(r)
		if err := r.Close(); err != nil {
			return err
		}
		if g != nil {
			if p := g.person(who); p != nil && p.conn == m.Src.Conn && p.failed == 0 {
				s.d.vote(g, who, &q)
			}
		}
		return nil
	case msgTimeout:
		l := takeLate(r)
		if g != nil && r.Close() == nil {
			s.d.timeout(g, l.seq, l.phase, func(p Provider) bool {
				return p == own(p.Instance) && slices.Contains(l.instances, p.Instance)
			})
		}
		return r.Close()
	case msgGoodbye:
		return s.deliverGoodbye(m, g, r)
	case msgGone:
		if err := r.Close(); err != nil {
			return err
		}
		s.d.lose(ProviderFailure, nil, func(p *member) bool { return p.node() == m.From && p.conn == m.Src.Conn })
		if m.From == s.self {
			s.forget(m.Src.Conn)
		}
		return nil
	case msgScript:
		who, seq, bits := own(int16(r.U16())), r.U64(), r.U32()
		if err := r.Close(); err != nil || g == nil {
			return err
		}
		s.d.scriptEnded(g, seq, who, bits&(DeactivateUnsuccessful|DeactivateTimeLimitExceeded))
		return nil
	case msgResponsive:
		return s.deliverResponsive(m, r)
	case msgAdapters:
		list := takeAdapters(r)
		if err := r.Close(); err != nil {
			return err
		}
		s.d.setAdapters(m.From, list)
		if m.From == s.self {
			s.tellAdapters() // they may have changed meanwhile, and back
		}
		return nil
	}
	return fmt.Errorf("unknown message %d", m.Func)
}

// provider finds the member that a message of its connection speaks for.
func provider(g *group, p Provider, m *service.Message) *member {
	if g == nil {
		return nil
	}
	if q := g.member(p); q != nil && q.conn == m.Src.Conn && q.failed == 0 {
		return q
	}
	return nil
}

// deliverJoin queues a join; it is judged when its turn comes.
func (s *Service) deliverJoin(m *service.Message, h head, level uint16, q *JoinRequest) {
	d := s.d
	new := request{member: member{Provider: Provider{q.Instance, int16(m.From)}, term: h.term, conn: m.Src.Conn, token: q.Token, level: level}, attrs: q.Attrs, serial: m.Src.Tag}
	g := d.group(h.group)
	if g == nil {
		g = d.found(h.group)
	}
	if d.programs() > MaxGroups || len(g.joins) > MaxProviders {
		d.refuse(g, &new, NoMemory)
	} else {
		g.joins = append(g.joins, new)
	}
	d.wake(g)
	d.settle()
}

// deliverGoodbye takes one provider out, or one that only wanted to be.
func (s *Service) deliverGoodbye(m *service.Message, g *group, r *body.Reader) error {
	who, token := Provider{int16(r.U16()), int16(m.From)}, int32(r.U32())
	if err := r.Close(); err != nil {
		return err
	}
	if g != nil {
		s.d.lose(SaidGoodbye, g, func(p *member) bool { return p.Provider == who && p.conn == m.Src.Conn && p.token == token })
	}
	if c := s.client(m.Src); c != nil {
		c.goodbyeDone(m.Src.Tag)
	}
	return nil
}

// deliverResponsive tells all groups of a client whether it answers.
func (s *Service) deliverResponsive(m *service.Message, r *body.Reader) error {
	summary := NoResponse
	if r.Bool() {
		summary = Responds
	}
	if err := r.Close(); err != nil {
		return err
	}
	for _, g := range s.d.groups {
		theirs := g.those(func(p *member) bool { return p.node() == m.From && p.conn == m.Src.Conn && p.failed == 0 })
		if len(theirs) > 0 {
			s.d.announce(g, summary, providersOf(theirs))
		}
	}
	return nil
}

// client finds the connection that a message of this node came from.
func (s *Service) client(src service.Source) *client {
	if src.Node != s.self {
		return nil
	}
	if i, found := s.place(src.Conn); found {
		return s.clients[i]
	}
	return nil
}

func (s *Service) place(conn uint64) (int, bool) {
	return slices.BinarySearchFunc(s.clients, conn, func(c *client, id uint64) int { return cmp.Compare(c.id, id) })
}

// send multicasts a message with its head.
func (s *Service) send(fn uint16, src service.Source, group string, rest []byte) service.Code {
	h, _ := s.d.host(s.self)
	b := append(head{h.term, group}.appendTo(nil), rest...)
	switch err := s.x.Multicast(fn, service.Normal, level(fn, group), src, b); {
	case err == nil:
		return service.OK
	case errors.Is(err, service.ErrTryAgain):
		return service.ErrAgain
	default:
		return service.ErrNoResources
	}
}

// owe sends a message, now or as soon as there is room.
func (s *Service) owe(o owed) {
	if len(s.owed) == 0 && s.send(o.fn, o.src, o.group, o.body) == service.OK {
		return
	}
	s.owed = append(s.owed, o)
	if len(s.owed) == 1 {
		s.x.After(owedRetry, s.payOwed)
	}
}

func (s *Service) payOwed() {
	for len(s.owed) > 0 {
		o := s.owed[0]
		if s.send(o.fn, o.src, o.group, o.body) != service.OK {
			s.x.After(owedRetry, s.payOwed)
			return
		}
		s.owed = s.owed[1:]
	}
	s.owed = nil
}

// Dump implements service.Dumper.
func (s *Service) Dump(w io.Writer) {
	d := s.d
	fmt.Fprintf(w, "formed %v id %v hosts %v event %d created %d seq %d\n", d.formed, d.id, d.hosts, d.event, d.created, d.seq)
	for _, g := range d.groups {
		fmt.Fprintf(w, "group %q %d alive %v %+v members %+v state %q joins %+v reflect %q\n", g.name, g.number, g.alive, g.attrs, g.members, g.state, g.joins, g.reflect)
		if p := g.active; p != nil {
			fmt.Fprintf(w, "  %v %d phase %d default %d voters %+v running %v\n", p.kind, p.seq, p.phase, p.def, p.voters, p.running)
		}
	}
}
