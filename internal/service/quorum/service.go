package quorum

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/moothall/moothall/internal/bug"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// Config chooses who decides.
type Config struct {
	Provider bool         // false: every ring is quorate
	Vote     vote.Config  // with Provider; Self is filled in
	Window   Duration     // of last_man_standing, zero: 10 s
	Device   DeviceConfig // of a quorum device

	// Changed is told, on the owner's goroutine, whenever the answer to CallStatus
	// may be another one. Nil: nobody cares.
	Changed func(Status)
}

// DeviceConfig is how a quorum device is treated (ordering 4.5).
type DeviceConfig struct {
	Timeout     Duration // its vote counts so long after its last poll, zero: 10 s
	SyncTimeout Duration // a round waits so long for its word about the new ring, zero: 30 s
	MasterWins  bool     // from its registration on
}

// Duration is how long something lasts.
type Duration = time.Duration

// Service is the quorum service of one node.
type Service struct {
	cfg     Config
	x       service.Executive
	keeper  service.QuorumKeeper
	self    proto.NodeID
	state   vote.State
	record  service.QuorumRecord // as kept last
	round   *round               // in work
	came    []proto.NodeID       // members that came along all the way since list was told
	list    Nodelist             // as told last
	lost    bool                 // somebody left since a decision was shown
	passing bool                 // the ring of shown is over
	shown   decision
	table   []vote.Info // of the members of shown: the same at all of them
	past    []vote.Info // of nodes that were members before, as told last
	words   map[proto.NodeID]word
	lowest  proto.NodeID // of the members when quorate last
	highest proto.NodeID
	worth   service.Currency
	device  device
	window  window
	clients []*client // in the order they came
	scratch []byte

	toldVotes []byte // EventVotes as told last, and in which ring
	toldRing  proto.RingID
}

var (
	_ service.Quorum = (*Service)(nil)
	_ service.Dumper = (*Service)(nil)
	_ service.Leaver = (*Service)(nil)
)

// decision is what is shown: one ring's, with the members it was made by.
type decision struct {
	quorate bool
	ring    proto.RingID
	members []proto.NodeID
	votes   vote.Votes
	row     vote.Row
}

// New makes the service.
func New(c Config) *Service {
	if c.Window == 0 {
		c.Window = 10 * time.Second
	}
	if c.Device.Timeout == 0 {
		c.Device.Timeout = 10 * time.Second
	}
	if c.Device.SyncTimeout == 0 {
		c.Device.SyncTimeout = 30 * time.Second
	}
	s := &Service{cfg: c, words: make(map[proto.NodeID]word)}
	s.device.s = s
	return s
}

// Info implements service.Service.
func (s *Service) Info() service.Info {
	calls := make([]service.Call, numCalls)
	for fn, name := range callNames {
		calls[fn] = service.Call{Name: name, Local: true}
	}
	return service.Info{Name: "quorum", ID: ID, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: true, Calls: calls}
}

// Start implements service.Service. The executive must be a QuorumKeeper.
func (s *Service) Start(x service.Executive) error {
	keeper, ok := x.(service.QuorumKeeper)
	if !ok {
		return errors.New("quorum: this executive keeps no quorum record")
	}
	s.x, s.keeper, s.self = x, keeper, x.Self()
	s.cfg.Vote.Self = s.self
	s.record, _ = keeper.Kept()
	s.state = s.cfg.Vote.Start(s.record.Primary, s.record.Tracked)
	if !s.cfg.Provider {
		s.shown = decision{quorate: true, row: vote.RowNoProvider}
	}
	s.changed()
	return nil
}

// Stop implements service.Service.
func (s *Service) Stop() {
	s.device.stop()
	s.window.stop()
}

// Leaving implements service.Leaver.
func (s *Service) Leaving() {
	if s.cfg.Provider {
		_ = s.multicast(msgLeave, service.Source{}, nil) // without it the others see the node gone all the same
	}
}

// ConfigChange implements service.Service.
func (s *Service) ConfigChange(c service.ConfigChange) {
	if c.Kind == service.Transitional {
		s.came = slices.DeleteFunc(s.came, func(n proto.NodeID) bool { return !slices.Contains(c.Members, n) })
		s.passing = true
	}
}

// Current implements service.Quorum.
func (s *Service) Current(c service.Currency) {
	if c == s.worth {
		return
	}
	before := s.quorate()
	s.worth = c
	s.tell(EventCurrency, Currency{c}.AppendTo(nil))
	if s.quorate() != before {
		s.tellQuorum()
		s.tellVotes()
	}
	s.changed()
}

// quorate is what clients are told: nothing is known after a pause.
func (s *Service) quorate() bool { return s.shown.quorate && s.worth != service.CurrencyUnknown }

// show makes a decision the one that clients and services see. A decision within
// a ring is news to those who track quorum only if it goes the other way.
func (s *Service) show(d decision) {
	before, was := s.quorate(), s.shown
	s.shown = d
	if d.quorate && len(d.members) > 0 {
		s.lowest, s.highest = slices.Min(d.members), slices.Max(d.members)
	}
	if !bug.Planted("quorum-same-not-shown") || d.quorate != was.quorate || d.votes != was.votes {
		shares, reserved := s.shares()
		s.keeper.Decided(service.QuorumState{
			Ring: d.ring, Quorate: d.quorate, Expected: d.votes.Expected, Needed: d.votes.Quorum, Votes: d.votes.Total, Device: d.votes.Device,
			Epoch: s.state.Primary.Epoch, Row: d.row.String(), Text: d.row.Why(d.votes), Shares: shares, Reserved: reserved,
		})
	}
	if s.worth != service.CurrencyNow {
		s.worth = service.CurrencyNow
		s.tell(EventCurrency, Currency{}.AppendTo(nil))
	}
	if s.cfg.Provider && d.votes.Expected != was.votes.Expected {
		s.tell(EventExpected, Expected{d.votes.Expected}.AppendTo(nil))
	}
	// Without a provider a new ring is no news, but the end of a pause is.
	if s.cfg.Provider && d.ring != was.ring || s.quorate() != before {
		s.tellQuorum()
	}
	if s.cfg.Provider {
		s.tellVotes()
	}
	s.changed()
}

// shares are the votes of the members by the present table, and those that are
// reserved for a quorum device.
func (s *Service) shares() (list []service.Share, reserved uint32) {
	if !s.cfg.Provider {
		return nil, 0
	}
	for _, f := range s.table {
		list = append(list, service.Share{Node: f.Node, Votes: f.Votes})
		reserved = max(reserved, f.DeviceVotes)
	}
	slices.SortFunc(list, func(a, b service.Share) int { return cmp.Compare(a.Node, b.Node) })
	return list, reserved
}

// changed tells whoever wants to know that the status is another one.
func (s *Service) changed() {
	if s.cfg.Changed != nil {
		s.cfg.Changed(s.status())
	}
}

// keep stores the record; done is called when it is durable.
func (s *Service) keep(done func(error)) {
	s.record.Primary, s.record.Tracked, s.record.EvBarrier = s.state.Primary, s.state.Tracked, s.state.Barrier
	s.keeper.Keep(s.record, done)
}

// quorumEvent is the decision as clients get it.
func (s *Service) quorumEvent() Quorum {
	if !s.cfg.Provider {
		return Quorum{Quorate: s.quorate(), Row: uint16(vote.RowNoProvider)}
	}
	d := s.shown
	return Quorum{Quorate: s.quorate(), Ring: d.ring, Members: d.members, Votes: d.votes, Row: uint16(d.row)}
}

func (s *Service) tellQuorum() { s.tell(EventQuorum, s.quorumEvent().AppendTo(nil)) }

// tell gives one event to the clients that track it. One that does not take it
// ends: no event may be missing in a stream that goes on.
func (s *Service) tell(kind uint16, event []byte) {
	for _, c := range slices.Clone(s.clients) {
		if c.tracks(kind) {
			c.push(kind, event)
		}
	}
}

// tellNodelist tells the members of a ring, and who joined and left since the
// list before.
func (s *Service) tellNodelist(ring proto.RingID, members []proto.NodeID) {
	old := s.list.Members
	stayed := func(n proto.NodeID) bool { return slices.Contains(old, n) && slices.Contains(s.came, n) }
	s.list = Nodelist{Ring: ring, Members: slices.Clone(members)}
	e := s.list
	for _, n := range members {
		if !stayed(n) {
			e.Joined = append(e.Joined, n)
		}
	}
	for _, n := range old {
		if !stayed(n) {
			e.Left = append(e.Left, n)
		}
	}
	s.lost = s.lost || len(e.Left) > 0
	s.came = slices.Clone(members)
	s.tell(EventNodelist, e.AppendTo(nil))
}

func (s *Service) kind() Type {
	if s.cfg.Provider {
		return TypeSet
	}
	return TypeFree
}

// Dump implements service.Dumper.
func (s *Service) Dump(w io.Writer) {
	d := s.shown
	fmt.Fprintf(w, "ring %v members %v\n", d.ring, d.members)
	fmt.Fprintf(w, "%d votes expected, %d needed, %d without a device\n", d.votes.Expected, d.votes.Quorum, d.votes.Total-d.votes.Device)
	for _, f := range s.table {
		fmt.Fprintf(w, "node %d votes %d barrier %d quorate %v waiting %v leaving %v device %v\n",
			f.Node, f.Votes, f.Barrier, f.Quorate, f.Waiting, f.Leaving, f.Device)
		if f.Quorate {
			fmt.Fprintf(w, "node %d primary epoch %d\n", f.Node, f.Primary.Epoch)
		}
	}
}
