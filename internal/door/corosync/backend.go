package corosync

import (
	"net/netip"

	"github.com/moothall/moothall/internal/door"
	"github.com/moothall/moothall/internal/proto"
	"github.com/moothall/moothall/service"
)

// Backend is the executive as this door needs it. Except for Do, everything
// runs on the owner goroutine.
type Backend interface {
	// Do has the owner run f, behind everything given to Do before. It never waits.
	// It may make the caller the owner and run f before it returns, except when it
	// is called by the owner. False: the owner has stopped.
	Do(f func()) bool
	// Ready reports whether the first synchronisation is done. Before that,
	// clients are told to try again.
	Ready() bool
	// Open connects a client to the service with that id. The code is OK or says
	// why there is no handle; with ErrAgain clients are told to try again. The sink
	// may be used before Open returns.
	Open(id uint16, cred service.Cred, sink Sink) (Handle, service.Code)
}

// Handle and Sink are the two sides of one client.
type (
	Handle = door.Handle
	Sink   = door.Sink
)

// NodeAddrs knows the configured addresses of the nodes, by link.
type NodeAddrs interface {
	// NodeAddrs lists the addresses of a node; none: the node is unknown. It is
	// called on the owner goroutine.
	NodeAddrs(id proto.NodeID) []netip.Addr
}
