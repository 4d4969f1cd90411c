package servicetest

import (
	kit "github.com/moothall/moothall/internal/service/servicetest"
	"github.com/moothall/moothall/service"
)

// The parts of the kit.
type (
	// Cluster is some nodes and the rings they form.
	Cluster = kit.Cluster
	// Node is one member with its services.
	Node = kit.Node
	// Conn is one client connection to one service, with its client.
	Conn = kit.Conn
	// Event is what a service pushed.
	Event = kit.Event
	// Answer is a call and what came back.
	Answer = kit.Answer
	// NodeID names a node.
	NodeID = kit.NodeID
	// T is what the kit needs of *testing.T.
	T = kit.T
)

// New starts nodes 1 to n with the services that the function makes; each is in
// a ring of its own, whose round still has to be run.
func New(t T, n int, services func(NodeID) []service.Service) *Cluster {
	return kit.New(t, n, services)
}
