package servicetest

import (
	"github.com/moothall/moothall/internal/service/quorum"
	"github.com/moothall/moothall/internal/vote"
	"github.com/moothall/moothall/service"
)

// Quorum is the built-in quorum service of one of n nodes with a vote each, to be
// run beside a service: a ring needs a majority of the nodes to be the primary
// component. In others a service that needs quorum gets no messages, and its
// clients are refused.
func Quorum(n int) service.Service {
	return quorum.New(quorum.Config{Provider: true, Vote: vote.Config{Votes: 1, Expected: uint32(n)}})
}
