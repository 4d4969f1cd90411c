package cpg

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/service"
)

// Service is the process group service of one node.
type Service struct {
	x       service.Executive
	self    proto.NodeID
	groups  map[string]*group
	clients []*client               // ascending by connection
	came    []proto.NodeID          // members that came along all the way since the last activation
	round   *round                  // in work
	totem   TotemConf               // of the last activation
	weights map[proto.NodeID]uint32 // votes of the nodes, as of the last activation
	here    map[proto.NodeID]bool   // nodes that are known to have activated the present ring
	safe    SafeReply               // the configuration in which messages are delivered now
	owed    []owed                  // leaves that found no room, oldest first
	scratch []byte                  // of the message or event in the making
	another []byte                  // the same, where two events are made of one message
	watch   func(Changed)           // nil: nobody looks on
}

var (
	_ service.Syncer = (*Service)(nil)
	_ service.Dumper = (*Service)(nil)
)

// owed is the leave of a connection that has ended.
type owed struct {
	src   service.Source
	pid   uint32
	group string

	program bool // it does not use libcpg's interface
}

// owedRetry is how long a leave waits until it is tried again, in nanoseconds.
const owedRetry = 20_000_000

// New makes the service.
func New() *Service {
	return &Service{groups: map[string]*group{}, here: map[proto.NodeID]bool{}}
}

// Info implements service.Service.
func (s *Service) Info() service.Info {
	calls := [numCalls]service.Call{
		CallJoin:         {Name: "join", Flow: true},
		CallLeave:        {Name: "leave", Flow: true},
		CallMcast:        {Name: "mcast", Flow: true},
		CallPartial:      {Name: "partial mcast", Flow: true},
		CallMembership:   {Name: "membership", Local: true},
		CallLocal:        {Name: "local", Local: true},
		CallIterInit:     {Name: "iteration initialise", Local: true},
		CallIterNext:     {Name: "iteration next", Local: true},
		CallIterFinalise: {Name: "iteration finalise", Local: true},
		CallFinalise:     {Name: "finalise", Flow: true},

		CallEnter:  {Name: "enter", Flow: true},
		CallExit:   {Name: "exit", Flow: true},
		CallSend:   {Name: "send", Flow: true},
		CallSafe:   {Name: "send safe", Flow: true},
		CallDirect: {Name: "send direct", Flow: true},
		CallPost:   {Name: "post", Flow: true},
		CallRank:   {Name: "rank", Flow: true},
		CallPiece:  {Name: "piece of state", Flow: true},
		CallPaced:  {Name: "piece of state, answered", Flow: true},
		CallGot:    {Name: "got state", Flow: true},
		CallGroups: {Name: "groups", Local: true},
	}
	return service.Info{Name: "cpg", ID: ID, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: true, Calls: calls[:]}
}

// Start implements service.Service.
func (s *Service) Start(x service.Executive) error {
	s.x, s.self = x, x.Self()
	s.came = []proto.NodeID{s.self}
	return nil
}

// Stop implements service.Service.
func (s *Service) Stop() {}

// ConfigChange implements service.Service.
func (s *Service) ConfigChange(c service.ConfigChange) {
	if c.Kind == service.Transitional {
		s.came = slices.DeleteFunc(s.came, func(n proto.NodeID) bool { return !slices.Contains(c.Members, n) })
	}
	s.safe = SafeReply{Ring: c.Ring, Transitional: c.Kind == service.Transitional, Members: slices.Clone(c.Members)}
}

// Deliver implements service.Service.
func (s *Service) Deliver(m service.Message) {
	s.heard(&m)
	r := body.NewReader(m.Body)
	var err error
	switch m.Func {
	case msgMcast:
		err = s.deliverMcast(&m, &r)
	case msgPartial:
		err = s.deliverPartial(&m, &r)
	case msgJoin:
		err = s.deliverJoin(&m, &r)
	case msgLeave:
		err = s.deliverLeave(&m, &r)
	case msgList:
		err = s.deliverList(&m)
	default:
		err = s.deliverProgram(&m, &r)
	}
	if err != nil {
		s.x.Log().Warn("message ignored", "service", "cpg", "node", m.From, "err", err)
	}
}

// deliverMcast hands a message to the group's connections here, if its node is
// known to be in the group.
func (s *Service) deliverMcast(m *service.Message, r *body.Reader) error {
	h, message := takeHead(r), r.Rest()
	if err := r.Close(); err != nil {
		return err
	}
	if g := s.lookup(h.group); g != nil && g.watched() && g.has(m.From) {
		s.hand(g, m, Received{From: Process{Node: m.From, PID: h.pid}, Message: message})
	}
	return nil
}

// hand gives a message to all connections of the group here.
func (s *Service) hand(g *group, m *service.Message, e Received) {
	if len(g.local) > 0 {
		d := Deliver{Group: []byte(g.name), Node: m.From, PID: e.From.PID, Safe: m.Level == service.Safe, Slot: m.Slot,
			Conn: m.Src.Conn, Tag: m.Src.Tag, Message: e.Message}
		s.scratch = d.AppendTo(s.scratch[:0])
		s.push(g.local, EventDeliver, s.scratch)
	}
	if len(g.programs) > 0 {
		s.push(g.programs, EventMessage, s.received(m, e))
	}
}

func (s *Service) deliverPartial(m *service.Message, r *body.Reader) error {
	h := takeHead(r)
	e := PartialDeliver{Group: h.group, Node: m.From, PID: h.pid, Safe: m.Level == service.Safe, Slot: m.Slot,
		Conn: m.Src.Conn, Tag: m.Src.Tag, Kind: takeKind(r), Total: r.U32(), Fragment: r.Rest()}
	if err := r.Close(); err != nil {
		return err
	}
	g := s.lookup(h.group)
	if g == nil || !g.watched() || !g.has(m.From) {
		return nil
	}
	s.scratch = e.AppendTo(s.scratch[:0])
	s.push(g.local, EventPartial, s.scratch)
	s.push(g.programs, EventPartial, s.scratch)
	return nil
}

// deliverJoin adds a process. Joins of nodes that this one is not synchronised
// with are left to the round that will bring their lists: a ring may end between
// its last barrier and the news of it.
func (s *Service) deliverJoin(m *service.Message, r *body.Reader) error {
	h := takeHead(r)
	if err := r.Close(); err != nil {
		return err
	}
	if !slices.Contains(s.came, m.From) {
		return nil
	}
	s.joined(m, s.intern(h.group), entry{Process: Process{Node: m.From, PID: h.pid}})
	return nil
}

// joined adds a process and tells the group.
func (s *Service) joined(m *service.Message, g *group, e entry) {
	added := g.add(e)
	c := s.client(m.Src)
	if c != nil && c.state == joinStarted {
		c.state = joinCompleted
		if !early() {
			g.attach(c)
		}
		c.answer(m.Src.Tag, service.OK, IdentityReply{s.self, e.PID, e.Instance}.AppendTo(nil))
	}
	if !added {
		return
	}
	e.Reason = ReasonJoin
	s.confchg(g, Confchg{Joined: []Process{e.Process}})
	s.changed(g, change{slot: m.Slot, joined: []Process{e.Process}, came: s.totem.Members})
	s.disown(g, e)
}

// disown has a process of this node leave that joined and is not here: its
// connection has ended meanwhile, or somebody else spoke in this node's name. Who
// else would say that it is gone?
func (s *Service) disown(g *group, e entry) {
	if e.Node != s.self || slices.ContainsFunc(s.clients, func(c *client) bool {
		return c.state != unjoined && c.group == g.name && c.pid == e.PID && c.instance == e.Instance
	}) || bug.Planted("cpg-ghost-member") {
		return
	}
	s.owe(owed{src: service.Source{Node: s.self, Conn: e.Instance}, pid: e.PID, group: g.name, program: e.Instance != 0})
}

// deliverLeave removes a process; the leaver is told too, and is free then.
func (s *Service) deliverLeave(m *service.Message, r *body.Reader) error {
	h := takeHead(r)
	reason := Reason(r.U8())
	if reason != ReasonLeave && reason != ReasonProcDown {
		r.Fail("reason")
	}
	if err := r.Close(); err != nil {
		return err
	}
	p := Process{Node: m.From, PID: h.pid, Reason: reason}
	if m.Func == msgExit {
		p.Instance = m.Src.Conn
	}
	g := s.lookup(h.group)
	if g == nil {
		return nil
	}
	c := s.client(m.Src)
	if g.remove(p) {
		s.confchg(g, Confchg{Left: []Process{p}})
		s.changed(g, change{slot: m.Slot, left: []Process{p}, came: s.totem.Members})
	}
	if c != nil && c.state == leaveStarted {
		c.part()
		c.answer(m.Src.Tag, service.OK, nil)
	}
	s.drop(g)
	return nil
}

// confchg tells the group's libcpg connections here about a change. Group and
// Members are filled in; who is there with another instance neither comes nor
// goes.
func (s *Service) confchg(g *group, e Confchg) {
	if len(g.local) == 0 {
		return
	}
	for _, c := range g.local {
		c.interrupted = true
	}
	e.Left = withoutInstances(slices.DeleteFunc(e.Left, func(p Process) bool { return g.instances(p) > 0 }))
	e.Joined = withoutInstances(slices.DeleteFunc(e.Joined, func(p Process) bool { return g.instances(p) > came(e.Joined, p) }))
	if len(e.Left)+len(e.Joined) == 0 {
		return
	}
	e.Group, e.Members = []byte(g.name), g.listed()
	s.scratch = e.AppendTo(s.scratch[:0])
	s.push(g.local, EventConfchg, s.scratch)
	for _, c := range g.local {
		if c.wantsTotem {
			c.wantsTotem = false
			s.scratch = s.totem.AppendTo(s.scratch[:0])
			s.push([]*client{c}, EventTotem, s.scratch)
		}
	}
}

// push gives one event to some connections. One that does not take it ends: no
// event may be missing in a stream that goes on.
func (s *Service) push(to []*client, kind uint16, event []byte) {
	var failed []*client
	var why error
	for _, c := range to {
		if c.gone {
			continue
		}
		if err := c.conn.Push(kind, event); err != nil {
			failed, why = append(failed, c), err
		}
	}
	for _, c := range failed { // last: closing sends a leave, in the buffer of the event
		c.conn.Close(why)
	}
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

// send multicasts a message that was made in scratch.
func (s *Service) send(fn uint16, safe bool, src service.Source) service.Code {
	level := service.Agreed
	if safe {
		level = service.Safe
	}
	switch err := s.x.Multicast(fn, service.Normal, level, src, s.scratch); {
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

// sendLeave multicasts a leave.
func (s *Service) sendLeave(o owed, reason Reason) service.Code {
	fn := msgLeave
	if o.program {
		fn = msgExit
	}
	s.scratch = append(appendHead(s.scratch[:0], o.pid, o.group), byte(reason))
	return s.send(fn, false, o.src)
}

// owe sends the leave of a connection that has ended, now or as soon as there
// is room.
func (s *Service) owe(o owed) {
	s.owed = append(s.owed, o)
	if len(s.owed) == 1 {
		s.payOwed()
	}
}

func (s *Service) payOwed() {
	for len(s.owed) > 0 {
		o := s.owed[0]
		if s.sendLeave(o, ReasonProcDown) != service.OK {
			s.x.After(owedRetry, s.payOwed)
			return
		}
		s.owed = s.owed[1:]
	}
	s.owed = nil
}

// Changed is what happened to a group at one place in the order.
type Changed struct {
	Group        string
	Size         int // members from now on
	Joined, Left []Process
}

// Watch has f called for each change of each group, whether this node has
// connections in it or not, by the service's owner. What f gets is valid during
// the call.
func (s *Service) Watch(f func(Changed)) { s.watch = f }

// Groups calls f for each group that has members, by name. The list is valid
// during the call.
func (s *Service) Groups(f func(name string, members []ViewMember)) {
	for _, g := range s.sorted() {
		if len(g.procs) > 0 {
			f(g.name, g.shown())
		}
	}
}

// Dump implements service.Dumper.
func (s *Service) Dump(w io.Writer) {
	fmt.Fprintf(w, "ring %v members %v\n", s.totem.Ring, s.totem.Members)
	for _, g := range s.sorted() {
		if len(g.procs) == 0 {
			continue
		}
		fmt.Fprintf(w, "group %q", g.name)
		for i := range g.procs {
			fmt.Fprintf(w, " %v", &g.procs[i])
		}
		fmt.Fprintln(w)
		for _, t := range g.transfers {
			fmt.Fprintf(w, "transfer %v\n", t)
		}
	}
}

// early reports whether connections get events before their join is delivered.
func early() bool { return bug.Planted("cpg-deliver-before-join") }
