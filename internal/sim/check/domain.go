package check

import (
	"fmt"
	"slices"
)

// DomainKind tells what a DomainEvent records.
type DomainKind uint8

const (
	DomainOpened  DomainKind = iota + 1 // a connection of a client: Client, Life, Conn
	DomainCalled                        // the service got a call of it: Request
	DomainAnswer                        // its call was answered: Tag, Door, Code
	DomainNotice                        // it got something: Notice
	DomainClosed                        // the connection ended
	DomainOrdered                       // the turn of a message came at Life: Message
	DomainApplied                       // what follows from it is done: Digest
	DomainTurning                       // a synchronisation ends at Life: Ring, Peers
	DomainTurned                        // what follows from it is done: Digest
	DomainScript                        // Life runs a script: Script
)

var domainNames = [...]string{"", "opened", "called", "answer", "notice", "closed", "ordered", "applied", "turning", "turned", "script"}

// String is the word used in trace files.
func (k DomainKind) String() string { return domainNames[int(k)%len(domainNames)] }

// DomainEvent is what happened in Group Services: at one of its clients, or where
// a node took an ordered message or ended a synchronisation. The checker keeps the
// slices.
type DomainEvent struct {
	At     Tick
	Kind   DomainKind
	Life   Life
	Client int // numbers all connections of a trace, from 1
	Conn   uint64

	Request *DomainRequest
	Tag     uint64 // numbers all calls of a trace
	Door    bool   // the door answers for the service: the call was not taken
	Code    uint16
	Notice  *Notice
	Message *DomainMessage
	Ring    RingID
	Peers   []DomainPeer
	Digest  [32]byte
	Script  ScriptRun
}

// What a DomainRequest or a DomainMessage is.
const (
	AskJoin        = "join"
	AskPropose     = "propose"
	AskVote        = "vote"
	AskGoodbye     = "goodbye"
	AskSubscribe   = "subscribe"
	AskUnsubscribe = "unsubscribe"
	AskQuit        = "quit"
	AskOther       = "other"

	SaysForm       = "form"
	SaysTimeout    = "timeout"
	SaysGone       = "gone"
	SaysScript     = "script"
	SaysResponsive = "responsive"
)

// DomainRequest is a call of a client, as it made it.
type DomainRequest struct {
	Ask      string
	Tag      uint64
	Token    int32
	Group    string // of a join or a subscription
	Instance int16
	Attrs    GroupAttributes
	Protocol uint8 // of a proposal
	Phases   uint8
	Limit    int32
	Code     uint32
	Targets  []Provider
	Script   uint32
	Data     string
	Seq      uint64 // of a vote
	Phase    uint32
	Vote     uint8
	Default  uint8
	State    Opt
	Message  Opt
	Wants    uint32
}

// DomainMessage is a message between the nodes. What a client asked for is known
// from the call: Tag names it.
type DomainMessage struct {
	Says  string
	From  NodeID
	Conn  uint64
	Tag   uint64
	Hash  uint64 // of all of it
	Term  uint64 // number of the ring in which its sender came into the domain; zero: with its beginning
	Group string
	Seq   uint64
	Phase uint32
	Who   []int16 // instances at From
	Bits  uint32  // of a script's result
	OK    bool    // of a check
}

// DomainPeer is one member of a synchronisation.
type DomainPeer struct {
	Node  NodeID
	Epoch uint64
	Trans []NodeID
}

// ScriptRun is a deactivate script that a node begins.
type ScriptRun struct {
	Group    string
	Instance int16
	Why      string
}

// Domain judges Group Services. It applies the rules of group services 8 to 15 to
// the messages in the order in which each node takes them, and compares with what
// clients are told:
//
//	GS1   nodes that go the same way take the same messages in the same order and
//	      hold the same state after each of them
//	GS2   a provider is told of one protocol at a time and of its phases in turn
//	GS3   what providers are told is what follows from the votes, each counted once,
//	      the defaults, the failures and the time limits: the same at all of them
//	GS4   membership is what joined less what left, oldest first, nobody twice
//	GS5   in the end all nodes are in one history, and no protocol waits
//	GS6   a request that was accepted has one end
//	GS7   subscribers see each change of what they want, and what it leads to
//	GS8   nobody is late before the time limit, or much after it
//	GS9   in a merge one part goes on, the others are told that their groups ended
//	GS10  a client is told nothing for a token that it has not, or has no more
//	GS11  scripts run once for each that they are to run for, where it was
//
// Feed it the starts, ends, configurations and phases of the cluster's trace too.
type Domain struct {
	service  uint16
	max      int
	findings []Finding
	now      Tick
	calm     Tick // since when nothing fails, zero: not yet
	lives    map[Life]*host
	clients  []*domainClient     // by number-1
	calls    map[uint64]*request // all, by tag
	open     map[uint64]*request // those that may lack their end
	turns    map[string]*turn    // that some members have not made yet
}

// turn is the end of one synchronisation, the same at all its members.
type turn struct {
	*point
	part []Life // that goes on
	left int    // members that have not come to it
}

// inputKey names a message.
type inputKey struct {
	hash uint64
	from NodeID
	conn uint64
	tag  uint64
}

// point is a moment in a history of the domain: what follows from all inputs up to
// it. Nodes of one history pass the same points.
type point struct {
	d      *domain
	ring   RingID
	nodes  map[NodeID]Life // members
	next   map[inputKey]*point
	digest [32]byte
	known  bool // the digest
}

// host is one life of a node.
type host struct {
	life  Life
	node  NodeID
	inc   uint64
	ended bool
	rings map[RingID]map[NodeID]Life // members of its configurations
	round uint32                     // of the present synchronisation
	begun map[share]*point           // where it was when it began each
	at    *point
	step  *step // between Ordered and Applied, or Turning and Turned, or in a call
	conns map[uint64]*domainClient
	mine  []*domainClient // in the order of their opening
}

// step is what a host is about to do.
type step struct {
	expected map[roleKey][]*due
	order    []roleKey
	scripts  []ScriptRun
	spare    []ScriptRun // may run
	turn     bool
}

type roleKey struct {
	client int
	token  int32
}

// due is a notice that a role is to get.
type due struct {
	n    Notice
	ends bool
	tag  uint64
}

type domainClient struct {
	id     int
	host   *host
	conn   uint64
	closed bool
	lost   bool // it had ended when its node lost what it had in a merge
	roles  map[int32]*domainRole
	call   *DomainRequest // being answered
}

// domainRole is what a token stands for, and how a provider sees its group.
type domainRole struct {
	group    string
	provider Provider
	serves   bool // or watches
	wants    uint32
	leaving  bool
	tag      uint64 // of its join

	in      bool
	members []Provider
	state   string
	seq     uint64 // of the protocol in work; zero: none
	last    uint64 // highest one that it was told of
	phase   uint32
	limit   int32
	asked   Tick
	full    []Provider // as a subscriber was told last
	told    bool
}

type request struct {
	q      *DomainRequest
	client *domainClient
	role   *domainRole
	taken  bool
	first  bool // goodbye of its role
	ended  bool
}

// NewDomain returns a checker; service is the number of Group Services in the
// trace's synchronisations, limit the number of findings after which it stops, zero
// is one.
func NewDomain(service uint16, limit int) *Domain {
	return &Domain{service: service, max: max(1, limit), lives: make(map[Life]*host), calls: make(map[uint64]*request),
		open: make(map[uint64]*request), turns: make(map[string]*turn)}
}

// Findings returns the violations found so far.
func (d *Domain) Findings() []Finding { return d.findings }

func (d *Domain) fail(property string, h *host, format string, args ...any) {
	if len(d.findings) < d.max {
		d.findings = append(d.findings, Finding{property, d.now, h.life, fmt.Sprintf("node %d ", h.node) + fmt.Sprintf(format, args...)})
	}
}

func (d *Domain) failFor(property string, c *domainClient, token int32, format string, args ...any) {
	text := fmt.Sprintf("client %d token %d ", c.id, token)
	if r := c.roles[token]; r != nil && r.serves {
		text += fmt.Sprintf("(provider %v of group %s) ", r.provider, r.group)
	} else if r != nil {
		text += fmt.Sprintf("(subscriber of group %s) ", r.group)
	}
	d.fail(property, c.host, "%s", text+fmt.Sprintf(format, args...))
}

// Follow takes an event of the cluster's trace.
func (d *Domain) Follow(e *Event) {
	d.now = e.At
	switch e.Kind {
	case KindStart:
		d.lives[e.Life] = &host{life: e.Life, node: e.Node, inc: e.Inc, rings: make(map[RingID]map[NodeID]Life),
			begun: make(map[share]*point), conns: make(map[uint64]*domainClient), at: newPoint(&domain{}, RingID{}, map[NodeID]Life{e.Node: e.Life})}
	case KindCrash, KindStop:
		h := d.lives[e.Life]
		h.ended = true
		for _, c := range h.mine {
			d.close(c)
		}
	case KindConf:
		if e.Transitional {
			return
		}
		h := d.lives[e.Life]
		h.rings[e.Ring] = make(map[NodeID]Life)
		for i, n := range e.Members {
			h.rings[e.Ring][n] = d.lifeOf(n, e.Incs[i])
		}
	case KindInit:
		if e.Service == d.service {
			h := d.lives[e.Life]
			h.round = e.Round
			h.begun[share{e.Ring, e.Round, e.Service}] = h.at
		}
	case KindPhase:
		if d.calm == 0 && e.Text == "progress" {
			d.calm = e.At
		}
	}
}

func newPoint(d *domain, ring RingID, nodes map[NodeID]Life) *point {
	return &point{d: d, ring: ring, nodes: nodes, next: make(map[inputKey]*point)}
}

// lifeOf finds the newest life of a node with that incarnation.
func (d *Domain) lifeOf(n NodeID, inc uint64) (found Life) {
	for _, h := range d.lives {
		if h.node == n && h.inc == inc && h.life > found {
			found = h.life
		}
	}
	return found
}

// Add takes what happened in Group Services.
func (d *Domain) Add(e *DomainEvent) {
	if len(d.findings) >= d.max {
		return
	}
	d.now = e.At
	h := d.lives[e.Life]
	if h == nil || h.ended {
		return
	}
	switch e.Kind {
	case DomainOrdered:
		d.ordered(h, e.Message)
		return
	case DomainTurning:
		d.turning(h, e)
		return
	case DomainApplied, DomainTurned:
		d.done(h, e)
		return
	case DomainScript:
		d.script(h, e.Script)
		return
	case DomainOpened:
		c := &domainClient{id: e.Client, host: h, conn: e.Conn, roles: make(map[int32]*domainRole)}
		d.clients = append(d.clients, c)
		h.conns[e.Conn], h.mine = c, append(h.mine, c)
		return
	}
	c := d.clients[e.Client-1]
	if c.closed {
		if e.Kind == DomainNotice {
			d.failFor("GS10", c, e.Notice.Token, "gets %v after the end of the connection", e.Notice)
		}
		return
	}
	switch e.Kind {
	case DomainCalled:
		d.called(c, e.Request)
	case DomainAnswer:
		d.answered(c, e)
	case DomainNotice:
		d.noticed(c, e.Notice)
	case DomainClosed:
		d.close(c)
		h.mine = slices.DeleteFunc(h.mine, func(o *domainClient) bool { return o == c })
	}
}

func (d *Domain) close(c *domainClient) {
	if c.closed {
		return
	}
	c.closed = true
	for _, r := range d.requestsOf(c) {
		r.ended = true
	}
	c.roles = nil
}

// requestsOf are the requests of a client without an end.
func (d *Domain) requestsOf(c *domainClient) (list []*request) {
	for tag, r := range d.open {
		switch {
		case r.ended:
			delete(d.open, tag)
		case r.client == c:
			list = append(list, r)
		}
	}
	return list
}

// called notes a call at the moment at which the service has it.
func (d *Domain) called(c *domainClient, q *DomainRequest) {
	c.call = q
	r := &request{q: q, client: c, role: c.roles[q.Token]}
	switch q.Ask {
	case AskJoin:
		r.role = &domainRole{group: q.Group, provider: Provider{q.Instance, int16(c.host.node)}, serves: true, tag: q.Tag}
	case AskSubscribe:
		r.role = &domainRole{group: q.Group, wants: q.Wants}
		if c.roles[q.Token] != nil {
			break // it will be refused
		}
		c.roles[q.Token] = r.role
		d.watch(c, q)
	case AskGoodbye:
		if r.role != nil {
			r.first = !r.role.leaving
			r.role.leaving = true
		}
	case AskQuit:
		d.close(c)
		c.host.mine = slices.DeleteFunc(c.host.mine, func(o *domainClient) bool { return o == c })
		return
	}
	d.calls[q.Tag] = r
	if q.Ask == AskJoin || q.Ask == AskPropose || q.Ask == AskGoodbye {
		d.open[q.Tag] = r
	}
}

// watch has a new subscriber wait for what it sees first (13.3).
func (d *Domain) watch(c *domainClient, q *DomainRequest) {
	h, key := c.host, roleKey{c.id, q.Token}
	var v *view
	if g := h.at.d.find(q.Group); q.Group == hostMembership {
		v = &view{full: h.at.d.hostList()}
	} else if g != nil && g.alive {
		v = &view{full: g.list(), state: g.state}
	}
	h.step = &step{expected: make(map[roleKey][]*due)}
	switch {
	case v == nil:
		h.step.add(key, due{n: Notice{Kind: NoticeError, Token: q.Token, Protocol: kindSubscribe, Code: codeUnknownGroup, Serial: q.Tag, Ends: true}, ends: true})
	case q.Wants&(wantState|wantMembership) != 0:
		n := Notice{Kind: NoticeSeen, Token: q.Token, Changed: q.Wants & (wantState | wantMembership)}
		if q.Wants&wantState != 0 {
			n.State = Some(v.state)
		}
		if q.Wants&wantMembership != 0 {
			n.Current = v.full
		}
		h.step.add(key, due{n: n})
	}
}

func (s *step) add(k roleKey, n due) {
	if s.expected[k] == nil {
		s.order = append(s.order, k)
	}
	if l := s.expected[k]; len(l) > 0 && l[len(l)-1].ends {
		return // the group that begins anew is another one
	}
	s.expected[k] = append(s.expected[k], &n)
}

func (d *Domain) answered(c *domainClient, e *DomainEvent) {
	r := d.calls[e.Tag]
	if r == nil {
		return
	}
	q, taken := r.q, !e.Door && e.Code == 0
	if c.call == q {
		c.call = nil
	}
	switch q.Ask {
	case AskJoin:
		if taken && c.roles[q.Token] != nil {
			d.failFor("GS10", c, q.Token, "is given to a second role")
		}
		if taken {
			c.roles[q.Token] = r.role
			r.taken = true
			return
		}
	case AskPropose:
		if r.taken = taken; taken {
			return
		}
	case AskSubscribe:
		if !taken && c.roles[q.Token] == r.role {
			delete(c.roles, q.Token)
			c.host.step = nil
		} else if taken {
			d.awaited(c.host, "GS7")
		}
	case AskUnsubscribe:
		if taken {
			delete(c.roles, q.Token)
		}
	case AskGoodbye:
		switch {
		case r.role == nil:
		case !taken:
			r.role.leaving = !r.first
		case c.roles[q.Token] == r.role:
			d.ended(c, q.Token)
		}
	}
	r.ended = true
}

// ended takes a role away, with all that was asked for by it.
func (d *Domain) ended(c *domainClient, token int32) {
	role := c.roles[token]
	delete(c.roles, token)
	for _, r := range d.requestsOf(c) {
		if r.role == role && r.q.Ask != AskGoodbye {
			r.ended = true
		}
	}
}

// noticed takes what a client was told: it has to be what is due.
func (d *Domain) noticed(c *domainClient, n *Notice) {
	h, key := c.host, roleKey{c.id, n.Token}
	role := c.roles[n.Token]
	if role == nil || role.leaving {
		d.failFor("GS10", c, n.Token, "gets %v", n)
		return
	}
	if role.serves && n.Kind != NoticeSeen && n.Kind != NoticeError {
		d.follow(c, role, n)
	}
	var want *due
	if h.step != nil && len(h.step.expected[key]) > 0 {
		want = h.step.expected[key][0]
	}
	role.last = max(role.last, n.Seq)
	if want == nil || !want.n.equal(n) {
		text := "nothing"
		if want != nil {
			text = want.n.String()
		}
		d.failFor(h.property(n), c, n.Token, "gets\n  %v\nby the rules it gets\n  %s", n, text)
		return
	}
	h.step.expected[key] = h.step.expected[key][1:]
	if n.Kind == NoticeSeen {
		d.fold(c, role, n)
	}
	if r := d.calls[want.tag]; r != nil {
		r.ended = true
	}
	if want.ends {
		d.ended(c, n.Token)
	}
}

// property is the one that a wrong or missing notice violates.
func (h *host) property(n *Notice) string {
	switch {
	case h.step != nil && h.step.turn && (n.Ends || n.Kind == NoticeAnnounced):
		return "GS9"
	case n.Kind == NoticeSeen:
		return "GS7"
	}
	return "GS3"
}

// awaited demands that nothing is due any more.
func (d *Domain) awaited(h *host, property string) {
	s := h.step
	h.step = nil
	for _, k := range s.order {
		c := d.clients[k.client-1]
		if rest := s.expected[k]; len(rest) > 0 && !c.closed {
			p := property
			if p == "" {
				h.step = s
				p = h.property(&rest[0].n)
				h.step = nil
			}
			d.failFor(p, c, k.token, "does not get\n  %v", &rest[0].n)
			return
		}
	}
	for _, r := range s.scripts {
		d.fail("GS11", h, "does not run the script of instance %d of group %s", r.Instance, r.Group)
		return
	}
}

func (d *Domain) script(h *host, r ScriptRun) {
	if h.step != nil {
		if i := slices.Index(h.step.scripts, r); i >= 0 {
			h.step.scripts = slices.Delete(h.step.scripts, i, i+1)
			return
		}
		if slices.Contains(h.step.spare, r) {
			return
		}
	}
	d.fail("GS11", h, "runs the script of instance %d of group %s (%s), which is not due", r.Instance, r.Group, r.Why)
}
