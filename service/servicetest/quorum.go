package servicetest

import (
	"fmt"

	"github.com/moothall/moothall/service"
)

// Quorum is a quorum service for one of n nodes with a vote each, to be run
// beside a service: a ring needs a majority of the nodes to be the primary
// component. In others a service that needs quorum gets no messages, and its
// clients are refused.
func Quorum(n int) service.Service { return &majority{n: n} }

// majority decides by the members alone.
type majority struct {
	n      int
	keeper service.QuorumKeeper
	round  service.Round
}

var _ service.Quorum = (*majority)(nil)

func (q *majority) Info() service.Info {
	return service.Info{Name: "quorum", Versions: service.Range{Min: 1, Max: 1}, RunsWithoutQuorum: true}
}

func (q *majority) Start(x service.Executive) error {
	q.keeper = x.(service.QuorumKeeper) // that of every node of the kit is one
	return nil
}

func (q *majority) Stop()                                     {}
func (q *majority) Deliver(service.Message)                   {}
func (q *majority) ConfigChange(service.ConfigChange)         {}
func (q *majority) Current(service.Currency)                  {}
func (q *majority) Open(service.Conn) (service.Client, error) { return nil, service.ErrNotSupported }
func (q *majority) SyncDigest() service.Digest                { return service.Digest{1} } // there is nothing to send
func (q *majority) SyncInit(r service.Round)                  { q.round = r }
func (q *majority) SyncProcess(int) (bool, error)             { return true, nil }
func (q *majority) SyncAbort(error)                           {}

func (q *majority) SyncActivate() {
	votes, needed := len(q.round.Members), q.n/2+1
	s := service.QuorumState{Ring: q.round.Ring, Quorate: votes >= needed, Expected: uint32(q.n), Needed: uint32(needed), Votes: uint32(votes),
		Row: "majority", Text: fmt.Sprintf("%d of %d votes are here, %d are needed", votes, q.n, needed)}
	for _, id := range q.round.Members {
		s.Shares = append(s.Shares, service.Share{Node: id, Votes: 1})
	}
	if s.Quorate {
		s.Epoch = service.Epoch(q.round.Ring.Seq)
	}
	q.keeper.Decided(s)
}
