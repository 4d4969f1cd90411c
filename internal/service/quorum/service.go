package quorum

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// Config chooses who decides.
type Config struct {
	Provider bool        // false: every ring is quorate
	Vote     vote.Config // with Provider
}

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
	shown   decision
	worth   service.Currency
	clients []*client // in the order they came
	infos   []vote.Info
	scratch []byte
}

var (
	_ service.Quorum = (*Service)(nil)
	_ service.Dumper = (*Service)(nil)
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
func New(c Config) *Service { return &Service{cfg: c} }

// Info implements service.Service.
func (s *Service) Info() service.Info {
	calls := [numCalls]service.Call{
		CallGetQuorate: {Name: "get quorate", Local: true},
		CallTrackStart: {Name: "track start", Local: true},
		CallTrackStop:  {Name: "track stop", Local: true},
		CallGetType:    {Name: "get type", Local: true},
		CallStatus:     {Name: "status", Local: true},
	}
	return service.Info{Name: "quorum", ID: ID, Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: true, Calls: calls[:]}
}

// Start implements service.Service. The executive must be a QuorumKeeper.
func (s *Service) Start(x service.Executive) error {
	keeper, ok := x.(service.QuorumKeeper)
	if !ok {
		return errors.New("quorum: this executive keeps no quorum record")
	}
	s.x, s.keeper, s.self = x, keeper, x.Self()
	s.record, _ = keeper.Kept()
	s.cfg.Vote.Self = s.self
	s.state = s.cfg.Vote.Start(s.record.Primary, s.record.Tracked)
	if !s.cfg.Provider {
		s.shown = decision{quorate: true, row: vote.RowNoProvider}
	}
	return nil
}

// Stop implements service.Service.
func (s *Service) Stop() {}

// ConfigChange implements service.Service.
func (s *Service) ConfigChange(c service.ConfigChange) {
	if c.Kind == service.Transitional {
		s.came = slices.DeleteFunc(s.came, func(n proto.NodeID) bool { return !slices.Contains(c.Members, n) })
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
	}
}

// quorate is what clients are told: nothing is known after a pause.
func (s *Service) quorate() bool { return s.shown.quorate && s.worth != service.CurrencyUnknown }

// show makes a decision the one that clients and services see.
func (s *Service) show(d decision) {
	s.shown = d
	s.keeper.Decided(service.QuorumState{
		Ring: d.ring, Quorate: d.quorate, Expected: d.votes.Expected, Needed: d.votes.Quorum, Votes: d.votes.Total,
		Epoch: s.state.Primary.Epoch, Row: d.row.String(), Text: d.row.Why(d.votes),
	})
	if s.worth != service.CurrencyNow {
		s.worth = service.CurrencyNow
		s.tell(EventCurrency, Currency{}.AppendTo(nil))
	}
	if s.cfg.Provider {
		s.tellQuorum()
	}
}

// keep stores the record, lazily: no built rule waits for it.
func (s *Service) keep() {
	s.record.Primary = s.state.Primary
	s.keeper.Keep(s.record, nil)
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

// tell gives one event to the tracking clients. One that does not take it ends:
// no event may be missing in a stream that goes on.
func (s *Service) tell(kind uint16, event []byte) {
	for _, c := range slices.Clone(s.clients) {
		if c.tracking {
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
	s.came = slices.Clone(members)
	s.tell(EventNodelist, e.AppendTo(nil))
}

// status is the answer to CallStatus.
func (s *Service) status() Status {
	d := s.shown
	p := Status{
		Type: s.kind(), Quorate: s.quorate(), Currency: s.worth, Ring: d.ring, Epoch: s.state.Primary.Epoch,
		Votes: d.votes, Row: uint16(d.row), TwoNode: s.cfg.Vote.TwoNode, WaitForAll: s.cfg.Vote.WaitForAll,
		Waiting: s.state.Waiting, Fencing: d.row.RelyOnFencing(), Why: d.row.Why(d.votes),
	}
	known := slices.Clone(s.x.Nodes().Configured())
	known = append(known, d.members...)
	slices.Sort(known)
	for _, n := range slices.Compact(known) {
		f := s.info(n)
		p.Nodes = append(p.Nodes, NodeStatus{Node: n, Member: slices.Contains(d.members, n), Votes: f.Votes, Expected: f.Expected})
	}
	return p
}

// info is what a node told last, as far as it was shown.
func (s *Service) info(n proto.NodeID) vote.Info {
	if i := slices.IndexFunc(s.infos, func(f vote.Info) bool { return f.Node == n }); i >= 0 {
		return s.infos[i]
	}
	return vote.Info{}
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
	fmt.Fprintf(w, "quorate %v by %v: %d of %d votes, %d needed\n", d.quorate, d.row, d.votes.Total, d.votes.Expected, d.votes.Quorum)
	if d.quorate {
		fmt.Fprintf(w, "primary epoch %d\n", s.state.Primary.Epoch)
	}
}
