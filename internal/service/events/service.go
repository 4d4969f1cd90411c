package events

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// Config is what the service needs of its node.
type Config struct {
	Settings
	// Allow decides what a client may do; nil: everything.
	Allow func(cred service.Cred, do Action, name string) bool
	// Store keeps durable topics; nil: they live as long as the cluster.
	Store Store
	// Addr and Boot are what the others are told of this node, see Member.
	Addr netip.Addr
	Boot int64
	// Unmade is told once of each topic of the settings that could not be made; nil:
	// nobody is.
	Unmade func(name string, why service.Code)
	// Observe is told each ordered message before it is applied; nil: nobody is.
	Observe func(*Applied)
}

// Settings are what may change while the node runs.
type Settings struct {
	// Topics are there without anybody creating them.
	Topics map[string]Options
	// QueueMessages and QueueBytes bound what waits for one subscription, zero:
	// 1024 and 4 MiB (cluster events P11).
	QueueMessages, QueueBytes int
	// QueueRanked bounds what waits for a ranked connection, zero: 1000; below half
	// of it the connection takes events again (openais-executive O3).
	QueueRanked int
}

func (c *Settings) fill() {
	c.QueueMessages = cmp.Or(c.QueueMessages, DefaultMessages)
	c.QueueBytes = cmp.Or(c.QueueBytes, DefaultBytes)
	c.QueueRanked = cmp.Or(c.QueueRanked, DefaultRanked)
}

// Action is what a client wants to do with a name.
type Action uint8

// Actions.
const (
	Watch      Action = iota // register or subscribe
	Publish                  // on a topic or a group
	Administer               // create or delete a topic, or unlink one that keeps events
	Open                     // have a topic open, made if there is none, or unlink it
)

// Service is the event service of one node.
type Service struct {
	cfg  Config
	x    service.Executive
	self proto.NodeID

	state  *state
	heard  place        // of the last message that came
	held   []entry      // messages after state.at that are ordered and not applied yet
	fresh  bool         // no commit with this node was applied since the state was adopted
	limbo  bool         // clients were told NotPrimary
	leaves bool         // it leaves the cluster: nothing is registered any more
	trans  uint32       // highest that is known
	told   uint32       // highest of a fact that clients were told
	ring   proto.RingID // of the last configuration
	nodes  []proto.NodeID
	rounds []proto.RingID // that ended here since the state was adopted; while this node is in it, the last one
	direct bool           // messages are applied as they come
	awaits bool           // for the commit of ring
	brings []*brought     // to the others
	sent   int            // of those, in this ring
	supply supply
	round  *round

	clients  []*client // ascending by connection
	subs     map[uint64][]*sub
	groups   map[string][]*sub
	watches  [Group][]*sub // of Conn and Memb, in the order they came
	channels map[uint64][]*sub
	exits    []exit // that wait for room
	expiry   service.Timer
	expires  time.Time // when the first event's time is over, if expiry runs
	dirty    []Write   // for the store
	stored   []func()  // answers that wait for it
	scratch  []byte
	counts   Counts
	ended    []EndView
	unmade   map[string]service.Code // topics of the settings that could not be made
	encoded  encoded
}

var (
	_ service.Syncer    = (*Service)(nil)
	_ service.Bystander = (*Service)(nil)
	_ service.Leaver    = (*Service)(nil)
	_ service.Dumper    = (*Service)(nil)
)

// New makes the service.
func New(c Config) *Service {
	c.fill()
	return &Service{cfg: c, state: &state{}, fresh: true, subs: map[uint64][]*sub{}, groups: map[string][]*sub{}, channels: map[uint64][]*sub{}}
}

// Info implements service.Service.
func (s *Service) Info() service.Info {
	return service.Info{Name: "events", ID: ID, Versions: service.Range{Min: 1, Max: 1}, Calls: []service.Call{
		CallOpen:      {Name: "open", Local: true},
		CallGrant:     {Name: "grant", Local: true},
		CallRegister:  {Name: "register", Local: true},
		CallSubscribe: {Name: "subscribe", Local: true},
		CallEnd:       {Name: "end", Local: true},
		CallPublish:   {Name: "publish", Flow: true},
		CallCreate:    {Name: "create topic", Flow: true},
		CallDelete:    {Name: "delete topic", Flow: true},
		CallClear:     {Name: "clear retention", Flow: true},
		CallEnter:     {Name: "open topic", Flow: true},
		CallUnlink:    {Name: "unlink topic", Flow: true},
		CallDescribe:  {Name: "describe topic", Local: true},
		CallList:      {Name: "list topics", Local: true},
		CallStatus:    {Name: "status", Local: true},
		CallRecall:    {Name: "recall", Local: true},
		CallTake:      {Name: "take", Local: true},
	}}
}

// Start implements service.Service.
func (s *Service) Start(x service.Executive) error {
	s.x, s.self = x, x.Self()
	return s.load()
}

// Stop implements service.Service.
func (s *Service) Stop() {
	if s.expiry != nil {
		s.expiry.Stop()
	}
}

// Leaving implements service.Leaver: registrations end (cluster events H12).
func (s *Service) Leaving() {
	s.leaves = true
	s.endMembership(Stopped)
}

// ConfigChange implements service.Service. What comes after the transitional
// configuration may not have come to all: it waits for the next ring.
func (s *Service) ConfigChange(c service.ConfigChange) {
	s.direct = s.direct && c.Kind == service.Transitional && bug.Planted("events-transitional-counts")
	s.awaits = false
	if c.Kind == service.Regular {
		s.ring, s.nodes = c.Ring, slices.Clone(c.Members)
	}
}

// PassedBy implements service.Bystander: the ring is not primary.
func (s *Service) PassedBy() {
	s.direct, s.awaits = false, false
	s.trans++
	s.release(s.held)
	if bug.Planted("events-limbo-forgets") {
		s.held = nil
	}
	s.enterLimbo()
	s.news()
}

// Deliver implements service.Service.
func (s *Service) Deliver(m service.Message) {
	if m.Class == service.Sync {
		if err := s.deliverSync(&m); err != nil {
			s.x.Log().Warn("message ignored", "service", "events", "node", m.From, "err", err)
		}
		return
	}
	s.heard = s.heard.after(&m)
	e := entry{at: s.heard, from: m.From, fn: m.Func, src: m.Src, body: m.Body}
	if s.direct {
		s.apply(&e)
		s.flush()
		return
	}
	e.body = slices.Clone(e.body)
	s.held = append(s.held, e)
	if _, ok := e.commit(); ok && s.awaits && e.at.ring == s.ring {
		s.applyHeld()
	}
}

// applyHeld follows the commit of the ring: from now on messages are applied as
// they come.
func (s *Service) applyHeld() {
	held := s.held
	s.held, s.awaits, s.direct = nil, false, true
	for i := range held {
		s.apply(&held[i])
	}
	s.flush()
	s.joined()
}

// apply makes the change that an ordered message asks for.
func (s *Service) apply(e *entry) {
	s.observe(e)
	code, answer, err := s.change(e)
	s.state.at = e.at
	if err != nil {
		s.x.Log().Warn("message ignored", "service", "events", "node", e.from, "err", err)
	}
	if code != 0 {
		s.answer(e.src, code, answer)
	}
}

// change does it. The code, if any, is for who asked.
func (s *Service) change(e *entry) (code service.Code, answer []byte, err error) {
	if e.fn == msgCommit {
		if c, ok := e.commit(); ok {
			s.changeMembership(c)
		}
		return 0, nil, nil
	}
	r := body.NewReader(e.body)
	h := takeHead(e.from, &r)
	if m := s.state.member(e.from); m == nil || m.Since != h.since && !bug.Planted("events-void-counts") {
		return service.ErrAgain, nil, nil // its node was thrown out meanwhile
	}
	if numbered(e.fn) {
		s.state.gave(h.number)
	}
	switch e.fn {
	case msgEligible:
		ids := r.Nodes()
		if err := r.Close(); err != nil {
			return 0, nil, err
		}
		s.changeEligible(ids)
		return 0, nil, nil
	case msgCreate:
		q, err := ParseCreate(r.Rest())
		if err != nil {
			return service.ErrInvalidParam, nil, err
		}
		if code = nameable(q.Name); code == service.OK {
			code = s.create(h.id(), string(q.Name), q.Options)
		}
		if e.src == (service.Source{}) {
			s.made(string(q.Name), code)
		}
		return code, nil, nil
	case msgDelete:
		q, err := ParseName(r.Rest())
		if err != nil {
			return service.ErrInvalidParam, nil, err
		}
		return s.delete(string(q.Name)), nil, nil
	case msgPublish:
		pid := r.U32()
		q, err := ParsePublish(r.Rest())
		if err != nil {
			return service.ErrInvalidParam, nil, err
		}
		if code, answer = s.publish(e, h.id(), pid, &q); code > service.OK && e.src.Node == s.self {
			s.refused(code)
		}
		return code, answer, nil
	case msgClear:
		q, err := ParseClear(r.Rest())
		if err != nil {
			return service.ErrInvalidParam, nil, err
		}
		return s.clear(&q), nil, nil
	case msgJoin, msgLeave:
		name, who := string(r.Short()), takeEntrant(&r)
		who.Node = e.from
		if err := r.Close(); err != nil {
			return 0, nil, err
		}
		if e.fn == msgJoin {
			s.join(h.id(), name, who)
		} else {
			s.leave(name, who)
		}
		return 0, nil, nil
	case msgEnter:
		m := takeEnter(&r)
		if err := r.Close(); err != nil {
			return service.ErrInvalidParam, nil, err
		}
		m.who.Node = e.from
		code, answer = s.enter(e.src, h.id(), &m)
		return code, answer, nil
	case msgExit:
		number, who := r.U64(), takeEntrant(&r)
		who.Node = e.from
		if err := r.Close(); err != nil {
			return 0, nil, err
		}
		if t := s.state.find(number, nil); t != nil {
			s.exit(t, who)
		}
		return 0, nil, nil
	case msgUnlink:
		q, err := ParseName(r.Rest())
		if err != nil {
			return service.ErrInvalidParam, nil, err
		}
		return s.unlink(string(q.Name)), nil, nil
	case msgExpire:
		ids := takeIDs(&r)
		if err := r.Close(); err != nil {
			return 0, nil, err
		}
		s.expire(ids)
		return 0, nil, nil
	case msgBring:
		b := takeBrought(&r)
		if err := r.Close(); err != nil {
			return 0, nil, err
		}
		s.bringIn(b)
		if e.from == s.self {
			s.wasBrought(b)
		}
		return 0, nil, nil
	}
	return 0, nil, fmt.Errorf("unknown message %d", e.fn)
}

// born is when this node came into the membership, zero: it is in none.
func (s *Service) born() uint32 {
	if m := s.state.member(s.self); m != nil && !s.fresh {
		return m.Born
	}
	return 0
}

// live reports whether this node is in the primary sub-cluster, as far as it knows.
func (s *Service) live() bool { return s.born() != 0 && !s.limbo }

// multicast sends what counts when all members have it.
func (s *Service) multicast(fn uint16, src service.Source, b []byte) service.Code {
	level := service.Safe
	if bug.Planted("events-agreed") {
		level = service.Agreed
	}
	switch err := s.x.Multicast(fn, service.Normal, level, src, b); {
	case err == nil:
		return service.OK
	case errors.Is(err, service.ErrTryAgain):
		return service.ErrAgain
	case errors.Is(err, service.ErrTooBig):
		return service.ErrTooBigCode
	default:
		return service.ErrNoResources
	}
}

// retryAfter is how long what found no room waits until it is tried again.
const retryAfter = 20 * time.Millisecond

// retry does something now, or as soon as it can be done.
func (s *Service) retry(try func() bool) {
	if !try() {
		s.x.After(retryAfter, func() { s.retry(try) })
	}
}

// joined follows a commit: what this node brings is sent, its registrations and
// what the state says of them are made one, and the topics of the configuration
// are created.
func (s *Service) joined() {
	ring := s.ring
	over := func() bool { return !s.live() || s.ring != ring || !s.direct }
	s.unsent()
	s.retry(func() bool { return over() || s.bring() && s.reconcile() && s.configured() })
	s.watchTimes()
}

// Configure changes the settings. What waits beyond a new bound stays; topics that are
// not in the settings any more stay.
func (s *Service) Configure(c Settings) {
	c.fill()
	s.cfg.Settings = c
	s.retry(func() bool { return !s.live() || !s.direct || s.configured() })
}

// configured creates the topics of the configuration, by one node.
func (s *Service) configured() bool {
	if s.nodes[0] != s.self {
		return true
	}
	names := make([]string, 0, len(s.cfg.Topics))
	for name := range s.cfg.Topics {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if t := s.state.topic(name); t != nil && t.created {
			continue
		}
		q := CreateRequest{[]byte(name), s.cfg.Topics[name]}
		if s.send(msgCreate, service.Source{}, q.AppendTo(nil)) != service.OK {
			return false
		}
	}
	return true
}

// made notes what became of a topic of the settings.
func (s *Service) made(name string, code service.Code) {
	_, ours := s.cfg.Topics[name]
	_, known := s.unmade[name]
	switch {
	case code == service.OK || code == service.ErrExist:
		delete(s.unmade, name)
	case ours && !known:
		if s.unmade == nil {
			s.unmade = map[string]service.Code{}
		}
		s.unmade[name] = code
		if s.cfg.Unmade != nil {
			s.cfg.Unmade(name, code)
		}
	}
}

// Dump implements service.Dumper. It tells how much events hold, and not what: that is
// for those whom their publishers told.
func (s *Service) Dump(w io.Writer) {
	d := s.state
	fmt.Fprintf(w, "view %v at %v seq %d trans %d fresh %v held %d\nmembers %v\nin %v\nout %v\neligible %v\ncounters %v\n",
		d.view, d.at, d.seq, d.trans, s.fresh, len(s.held), d.members, d.in, d.out, d.eligible, d.counters)
	for t := range d.all() {
		fmt.Fprintf(w, "topic %q %x created %v %+v seq %d members %v opens %v\n", t.name, t.number, t.created, t.opts, t.seq, t.members, t.opens)
		if n := len(t.kept); n > 0 {
			fmt.Fprintf(w, "  keeps %d events of %d bytes, from seq %d to %d, with sum %x\n", n, t.bytes, t.kept[0].seq, t.kept[n-1].seq, t.sum())
		}
	}
}

// sum is equal where the same is kept.
func (t *topic) sum() []byte {
	h := sha256.New()
	for _, e := range t.kept {
		h.Write(e.appendTo(nil))
	}
	return h.Sum(nil)[:8]
}
