// Package door holds what the doors to an agent have in common: who may come in,
// and how a door and the member behind it speak about one client.
package door

import (
	"os"
	"slices"

	"github.com/moothall/moothall/service"
)

// Access lists who may connect besides root, by effective ids; a user is not
// let in for a supplementary group (corosync-ipc 5). Whoever is let in may do
// everything.
type Access struct {
	UIDs []uint32
	GIDs []uint32
}

// Allows also lets the user in that the agent runs as, who can do anything to
// it anyway.
func (a *Access) Allows(c service.Cred) bool {
	return c.UID == 0 || c.GID == 0 || c.UID == uint32(os.Geteuid()) ||
		slices.Contains(a.UIDs, c.UID) || slices.Contains(a.GIDs, c.GID)
}

// Clone is a copy that shares nothing.
func (a *Access) Clone() *Access {
	return &Access{UIDs: slices.Clone(a.UIDs), GIDs: slices.Clone(a.GIDs)}
}

// Handle is the member's side of one client. It belongs to the owner goroutine.
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

// Sink is a client as the member sees it. Its methods never block, never call
// the Handle and copy what they are given.
type Sink interface {
	// Push sends one event.
	Push(kind uint16, body []byte)
	// Flow keeps the client's requests back, while a synchronisation runs or the
	// queue is full, and lets them go again. It may let them go more than once.
	Flow(blocked bool)
	// Closed says that the member ended the connection. Nothing follows.
	Closed(err error)
}
