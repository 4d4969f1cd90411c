package servicetest

import (
	"github.com/moothall/moothall/service"
	kit "github.com/moothall/moothall/service/servicetest"
)

// The parts of the kit.
type (
	Cluster = kit.Cluster
	Node    = kit.Node
	Conn    = kit.Conn
	Event   = kit.Event
	Answer  = kit.Answer
	NodeID  = kit.NodeID
	T       = kit.T
)

// New starts a cluster in memory.
func New(t T, n int, services func(NodeID) []service.Service) *Cluster {
	return kit.New(t, n, services)
}
