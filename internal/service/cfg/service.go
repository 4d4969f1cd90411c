package cfg

import (
	"slices"
	"time"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/service/body"
	"github.com/moothall/moothall/internal/service/groups"
	"github.com/moothall/moothall/service"
)

// Host is the node that a Service runs on. Its methods are called on the owner;
// they return at once and do not call the service back meanwhile.
type Host interface {
	// Nodes describes the ways to all configured nodes, this one included, by
	// ascending id.
	Nodes() []NodeStatus
	// Plain says that the configured transport promises nothing about links.
	Plain() bool
	// Reopen opens log files anew.
	Reopen() error
	// Leave has this node leave the cluster and end.
	Leave()
	// Kill ends this node with an error, as another one, or this one, wants it.
	Kill(by proto.NodeID, reason string)
	// ShutdownTime is how long trackers have to answer.
	ShutdownTime() time.Duration
	// ReloadOrdered tells of a reload that a node was asked for, at its place in the
	// order.
	ReloadOrdered(by proto.NodeID)
	// Check reads the configuration anew, compares it with what is in force and
	// keeps it for Apply. done is called on the owner, now or later, with what is in
	// the file, or with what is wrong. One Check runs at a time, and each is followed
	// by Apply or Drop, whether or not it is done.
	Check(done func(File, error))
	// Agree is asked when all members are content with their own files: whether
	// these go together, and with the present ring. It returns lines of who refuses
	// and why. It is called at one place of the order at all members, and must say
	// the same at all. The facts ascend by node; origin asked for the reload.
	Agree(origin proto.NodeID, facts []Facts) (refused []string)
	// Apply puts what Check read into force.
	Apply()
	// Drop forgets what Check read, or will read. code is what the reload came to.
	Drop(code service.Code)
	// Version is the config_version in force here.
	Version() uint64
	// MemberVersion tells that of a member.
	MemberVersion(id proto.NodeID, version uint64)
}

// File is what Check read.
type File struct {
	Version uint64 // its config_version
	Facts   []byte // what all members must know, at most 1024 bytes
}

// Facts is what a member told of its file.
type Facts struct {
	Node  proto.NodeID
	Facts []byte
}

// Service is the cfg service of one node.
type Service struct {
	host    Host
	x       service.Executive
	members []proto.NodeID  // of the ring
	nodes   *groups.Service // where the nodes vote
	clients []*client       // in the order they came
	outbox  []outgoing      // found no room
	retry   service.Timer   // nil: the outbox is empty

	try     *try     // pending shutdown
	request *request // for a reload, of a client here
	voting  *voting  // on a reload, asked for here or elsewhere
	reading *reading // for either
}

type outgoing struct {
	fn   uint16
	body []byte
}

// retryTime is how long a message waits that found no room.
const retryTime = 20 * time.Millisecond

// New makes the service.
func New(h Host) *Service { return &Service{host: h} }

// Info implements service.Service.
func (s *Service) Info() service.Info {
	calls := [numCalls]service.Call{
		CallRings: {Name: "rings"}, CallNode: {Name: "node"}, CallKill: {Name: "kill", Flow: true},
		CallTryShutdown: {Name: "try shutdown", Flow: true}, CallVote: {Name: "vote"}, CallTrackStart: {Name: "track start"},
		CallTrackStop: {Name: "track stop"}, CallReload: {Name: "reload", Flow: true}, CallReopen: {Name: "reopen logs"},
	}
	for i := range calls {
		calls[i].Local = !calls[i].Flow
	}
	return service.Info{Name: "cfg", ID: ID, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: true, Independent: true, Calls: calls[:]}
}

// Start implements service.Service.
func (s *Service) Start(x service.Executive) error {
	s.x = x
	return nil
}

// Stop implements service.Service. Clients are gone by now.
func (s *Service) Stop() {
	s.voting = nil
	s.finish(service.ErrInterrupt)
}

// send multicasts a message, later if there is no room now. The order of what is
// sent stays.
func (s *Service) send(fn uint16, b []byte) {
	if len(s.outbox) == 0 && s.x.Multicast(fn, service.Normal, service.Agreed, service.Source{}, b) == nil {
		return
	}
	s.outbox = append(s.outbox, outgoing{fn, slices.Clone(b)})
	if s.retry == nil {
		s.retry = s.x.After(retryTime, s.resend)
	}
}

func (s *Service) resend() {
	s.retry = nil
	for len(s.outbox) > 0 {
		o := s.outbox[0]
		if s.x.Multicast(o.fn, service.Normal, service.Agreed, service.Source{}, o.body) != nil {
			s.retry = s.x.After(retryTime, s.resend)
			return
		}
		s.outbox = s.outbox[1:]
	}
}

// Deliver implements service.Service.
func (s *Service) Deliver(m service.Message) {
	var err error
	switch m.Func {
	case msgKill:
		err = receive(m, ParseKill, s.kill)
	case msgDown:
		s.down(m.From)
	case msgVersion:
		err = receive(m, parseVersion, s.host.MemberVersion)
	default:
		s.x.Log().Warn("unknown message", "node", m.From, "func", m.Func)
	}
	if err != nil {
		s.x.Log().Warn("malformed message", "node", m.From, "func", m.Func, "err", err)
	}
}

func receive[T any](m service.Message, parse func([]byte) (T, error), f func(proto.NodeID, T)) error {
	v, err := parse(m.Body)
	if err == nil {
		f(m.From, v)
	}
	return err
}

func (s *Service) kill(by proto.NodeID, q KillRequest) {
	names := s.x.Nodes()
	if q.Node != s.x.Self() {
		s.x.Log().Warn("A node is ended by another one", "node", names.Name(q.Node), "by", names.Name(by), "reason", q.Reason)
		return
	}
	s.host.Kill(by, q.Reason)
}

func (s *Service) down(from proto.NodeID) {
	if from == s.x.Self() {
		s.host.Leave()
		return
	}
	s.x.Log().Info("A node was told to shut down", "node", s.x.Nodes().Name(from))
}

// ConfigChange implements service.Service.
func (s *Service) ConfigChange(c service.ConfigChange) {
	if c.Kind != service.Regular {
		return
	}
	s.members = slices.Clone(c.Members)
	s.sendVersion()
}

func (s *Service) sendVersion() {
	s.send(msgVersion, body.AppendU64(nil, s.host.Version()))
}
