package outside

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// Config says what the service is.
type Config struct {
	ID   uint16
	Name string
	// Timeout is how long the process may take to answer; zero: DefaultTimeout.
	Timeout time.Duration
	// Gone is told, on the executive's goroutine, that the process that registered is
	// not wanted any more or has gone, or that the one that is expected does not
	// register: it is to be ended and started again. Optional.
	Gone func(pid int32, why string)
	// Here is told, likewise, that a process registered. Optional.
	Here func(pid int32)
}

// DefaultTimeout is how long a process may take to answer.
const DefaultTimeout = 30 * time.Second

// retry is how soon something that found no room is tried again.
const retry = 2 * time.Millisecond

// Service is the service on one node.
type Service struct {
	cfg Config
	x   service.Executive

	// What all members know, from the order.
	ring  proto.RingID // of the nodes; zero: none whose members are known
	peers []proto.NodeID
	hosts []proto.NodeID // peers of the round in work
	roll  roll
	mates []mate // whose messages the process takes

	// Of this node.
	proc    *process // nil: none
	pid     int32    // of the process that may register
	awaited int32    // that, if it had not registered when watch looked
	lives   uint32
	said    uint32 // number after the newest Roll that is out
	owed    bool   // a Roll found no room
	settled bool   // between a regular configuration and the change that follows
	flowing bool   // what the process multicasts goes out
	config  proto.RingID
	quorum  Quorum
	nodes   []Name
	clients []*client
	again   service.Timer
	scratch []byte
}

// roll is the change that is in work, or the last one.
type roll struct {
	no    uint32
	lives []uint32 // by peer, of those who answered
	in    []bool
	done  bool
}

// mate is a member of the service's configuration.
type mate struct {
	node proto.NodeID
	life uint32
}

var (
	_ service.Syncer         = (*Service)(nil)
	_ service.QuorumListener = (*Service)(nil)
	_ service.Leaver         = (*Service)(nil)
	_ service.Dumper         = (*Service)(nil)
)

// New makes the service.
func New(c Config) *Service {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	return &Service{cfg: c}
}

// calls are all that a client or a process may call. Those of clients wait while
// there is no room (Call.Flow), and as client.Holding says.
var calls = func() []service.Call {
	list := make([]service.Call, numCalls)
	for i := range FirstOwn {
		list[i] = service.Call{Name: "call", Flow: true}
	}
	for i, name := range []string{"register", "multicast", "reply", "push", "close", "ready", "took", "pong", "hold"} {
		list[FirstOwn+i] = service.Call{Name: name}
	}
	return list
}()

// Info describes the service. Its versions are of what members tell each other
// here; those of the service itself are compared by its processes.
func (s *Service) Info() service.Info {
	return service.Info{Name: s.cfg.Name, ID: s.cfg.ID, Versions: service.Range{Min: Protocol, Max: Protocol}, RunsWithoutQuorum: true, Calls: calls}
}

// Start takes the host.
func (s *Service) Start(x service.Executive) error {
	s.x = x
	s.watch()
	return nil
}

// Stop has nothing to do: the connection of the process has ended.
func (s *Service) Stop() {}

// Relays says that messages here are the process's with a header (executive.Relay).
func (s *Service) Relays() {}

// Leaving lets the process say farewell.
func (s *Service) Leaving() {
	if s.proc != nil {
		s.proc.tell(EventLeaving, nil)
	}
}

// AskDump has the process write what it holds to its log.
func (s *Service) AskDump() {
	if s.proc != nil {
		s.proc.tell(EventDump, nil)
	}
}

// Dump tells the configuration.
func (s *Service) Dump(w io.Writer) {
	fmt.Fprintf(w, "configuration %v, processes on nodes %v\n", s.config, nodes(s.mates))
}

// Registered reports whether a process runs the service here.
func (s *Service) Registered() bool { return s.proc != nil }

// Expect says which process may register from now on.
func (s *Service) Expect(pid int32) { s.pid = pid }

// ConfigChange follows the ring.
func (s *Service) ConfigChange(c service.ConfigChange) {
	if c.Kind == service.Regular {
		return // it waits for the Rolls
	}
	s.ring, s.peers, s.hosts, s.roll = proto.RingID{}, nil, nil, roll{}
	var left []proto.NodeID
	s.mates = slices.DeleteFunc(s.mates, func(m mate) bool {
		_, along := slices.BinarySearch(c.Members, m.node)
		if !along {
			left = append(left, m.node)
		}
		return !along
	})
	s.transitional(left)
}

// SyncDigest is the same everywhere: the members have nothing to send.
func (s *Service) SyncDigest() service.Digest { return service.Digest{1} }

// SyncInit learns who else runs the service.
func (s *Service) SyncInit(r service.Round) {
	s.ring, s.hosts = r.Ring, nil
	for _, p := range r.Peers {
		if p.Has {
			s.hosts = append(s.hosts, p.Node)
		}
	}
}

// SyncProcess has nothing to do.
func (s *Service) SyncProcess(int) (bool, error) { return true, nil }

// SyncAbort waits for the next round.
func (s *Service) SyncAbort(error) { s.hosts = nil }

// SyncActivate begins the first change of the ring.
func (s *Service) SyncActivate() {
	s.peers, s.hosts, s.said = s.hosts, nil, 0
	s.QuorumChanged()
	s.begin(0)
}

// QuorumChanged passes on what is decided about quorum.
func (s *Service) QuorumChanged() {
	q := Quorum{Primary: true, Currency: service.CurrencyNow}
	if v, ok := s.x.(service.QuorumViewer); ok {
		state, currency := v.Quorum()
		if state.Ring != (proto.RingID{}) { // someone decides
			q = Quorum{Primary: state.Quorate && state.Ring == s.ring, Currency: currency, State: state}
			q.State.Shares = slices.Clone(state.Shares)
		}
	}
	if !reflect.DeepEqual(q, s.quorum) {
		s.quorum = q
		if s.member() {
			s.proc.tell(EventQuorum, q)
		}
	}
}

// member reports whether the process is in a configuration of the service.
func (s *Service) member() bool { return s.proc != nil && s.proc.member }

// begin begins a change at its place in the order.
func (s *Service) begin(no uint32) {
	s.roll = roll{no: no, lives: make([]uint32, len(s.peers)), in: make([]bool, len(s.peers))}
	if s.said <= no {
		s.say(no)
	}
}

// say tells whether a process runs here, and stops what it multicasts.
func (s *Service) say(no uint32) {
	s.said, s.owed, s.flowing = no+1, true, false
	s.pump()
}

// changed has a change begin because the process came or went.
func (s *Service) changed() {
	s.flowing = false
	if s.peers != nil {
		s.say(max(s.said, s.roll.no+1))
	}
}

// transitional gives the process the configuration of those who come along.
func (s *Service) transitional(left []proto.NodeID) {
	s.settled, s.flowing = false, false
	if s.member() {
		s.proc.tell(EventView, View{Transitional: true, Primary: s.quorum.Primary, Ring: s.config, Members: nodes(s.mates), Left: left})
	}
}

// Deliver takes a message of another member's or the own.
func (s *Service) Deliver(m service.Message) {
	if m.Func == msgRoll {
		if l, err := ParseRoll(m.Body); err == nil {
			s.rolled(m.From, &l)
		}
		return
	}
	if !s.member() || m.Func > msgSync || !slices.ContainsFunc(s.mates, func(o mate) bool { return o.node == m.From }) {
		return
	}
	out, err := data(m.Func, m.Body)
	if err != nil {
		s.x.Log().Warn("malformed message", "node", m.From, "err", err)
		return
	}
	out.From, out.Src, out.Safe, out.Place, out.Slot = m.From, m.Src, m.Level == service.Safe, m.Ring, m.Slot
	s.proc.tell(EventMessage, out)
}

// rolled takes a Roll at its place.
func (s *Service) rolled(from proto.NodeID, l *Roll) {
	i, ok := slices.BinarySearch(s.peers, from)
	if !ok || l.Ring != s.ring {
		return
	}
	first := l.No > s.roll.no
	if first {
		s.begin(l.No)
	}
	if l.No < s.roll.no || s.roll.done || s.roll.in[i] {
		return
	}
	s.roll.in[i], s.roll.lives[i] = true, l.Life
	var left []proto.NodeID
	if k := slices.IndexFunc(s.mates, func(m mate) bool { return m.node == from && m.life != l.Life }); k >= 0 {
		s.mates = slices.Delete(s.mates, k, k+1) // its process has ended, whether another one runs or not
		left = []proto.NodeID{from}
	}
	if first && s.settled || left != nil {
		s.transitional(left)
	}
	if !slices.Contains(s.roll.in, false) {
		s.install()
	}
}

// install is the regular configuration, at the place of the last Roll.
func (s *Service) install() {
	s.roll.done = true
	before := nodes(s.mates)
	s.mates = s.mates[:0]
	own := false
	for i, node := range s.peers {
		if life := s.roll.lives[i]; life != 0 {
			s.mates = append(s.mates, mate{node, life})
			own = own || node == s.x.Self() && s.proc != nil && s.proc.life == life
		}
	}
	s.settled = true
	s.config = proto.RingID{Seq: s.ring.Seq<<changesBits + uint64(min(s.roll.no, 1<<changesBits-1)), Rep: s.ring.Rep, Inc: s.ring.Inc}
	if !own {
		return
	}
	if !s.proc.member {
		before = nil // it has seen none of it
		s.proc.member = true
		s.proc.tell(EventQuorum, s.quorum)
	}
	s.renameNodes()
	members := nodes(s.mates)
	joined := slices.DeleteFunc(slices.Clone(members), func(n proto.NodeID) bool { return slices.Contains(before, n) })
	s.proc.tell(EventView, View{Primary: s.quorum.Primary, Ring: s.config, Members: members, Joined: joined})
}

// changesBits is how many bits of a configuration's number count the changes
// within one ring.
const changesBits = 20

// renameNodes tells the process how nodes are called, if that has changed.
func (s *Service) renameNodes() {
	if names := s.names(); !slices.Equal(names, s.nodes) {
		s.nodes = names
		s.proc.tell(EventNodes, Nodes{names})
	}
}

func (s *Service) names() (names []Name) {
	d := s.x.Nodes()
	for _, id := range d.Configured() {
		if len(names) < maxNodes {
			names = append(names, Name{id, d.Name(id)})
		}
	}
	return names
}

func nodes(mates []mate) []proto.NodeID {
	ids := make([]proto.NodeID, 0, len(mates))
	for _, m := range mates {
		ids = append(ids, m.node)
	}
	return ids
}

// pump sends what waits, as far as there is room: first what a round needs, then
// the Roll behind what was sent before it, then what flows.
func (s *Service) pump() {
	if s.again != nil {
		s.again.Stop()
		s.again = nil
	}
	if !s.send() {
		s.again = s.x.After(retry, func() { s.again = nil; s.pump() })
	}
}

func (s *Service) send() bool {
	if p := s.proc; p != nil && !s.order(p, &p.rounds) {
		return false
	}
	if s.owed && s.peers != nil {
		var life uint32
		if s.proc != nil {
			life = s.proc.life
		}
		b := Roll{Ring: s.ring, No: s.said - 1, Life: life}.AppendTo(s.scratch[:0])
		s.scratch = b
		if s.x.Multicast(msgRoll, service.Normal, service.Agreed, service.Source{}, b) != nil {
			return false
		}
		s.owed = false
	}
	if p := s.proc; p != nil && s.flowing {
		return s.order(p, &p.normal)
	}
	return true
}

// order multicasts a queue of the process.
func (s *Service) order(p *process, queue *[]queued) bool {
	sent := p.sent
	defer func() {
		if p.sent != sent {
			p.tell(EventSent, Count{p.sent})
		}
	}()
	for len(*queue) > 0 {
		q := &(*queue)[0]
		err := s.x.Multicast(q.fn, service.Normal, q.level, q.src, q.body)
		if err != nil && service.CodeOf(err) == service.ErrAgain {
			return false
		}
		p.waiting -= q.cost // what is refused otherwise is gone: the member ends
		p.sent += uint64(q.cost)
		*q = queued{}
		*queue = (*queue)[1:]
	}
	*queue = nil
	return true
}
