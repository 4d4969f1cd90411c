package corosync

import (
	"net/netip"

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

// Handle is the backend's side of one client.
type Handle interface {
	// Call makes one call; the body is copied if it is kept. The reply comes once,
	// before Call returns or later, unless the connection ends before. After an
	// error that wraps service.ErrTryAgain nothing was done, and the same call is
	// made again after Sink.Flow(false) or the next reply. Other errors end the
	// connection.
	Call(fn uint16, tag uint64, body []byte, reply func(code service.Code, body []byte)) error
	// Taken says that so many of the pushed events are in the client's hands, in
	// their order. It comes once for each event, in sums, until Close.
	Taken(events int)
	// Close is the end of the client: no call follows, and what was not Taken will
	// never be.
	Close()
}

// Sink is a client as the backend sees it. Its methods never block, never call
// the Handle and copy what they are given.
type Sink interface {
	// Push sends one event.
	Push(kind uint16, body []byte)
	// Flow keeps the client's requests back, while a synchronisation runs or the
	// queue is full, and lets them go again.
	Flow(blocked bool)
	// Closed says that the backend ended the connection. Nothing follows.
	Closed(err error)
}

// NodeAddrs knows the configured addresses of the nodes, by link.
type NodeAddrs interface {
	// NodeAddrs lists the addresses of a node; none: the node is unknown. It is
	// called on the owner goroutine.
	NodeAddrs(id proto.NodeID) []netip.Addr
}
