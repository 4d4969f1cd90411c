// Package qb is the server's side of libqb's inter-process transport over
// shared memory, as the client libraries of Corosync 3.x speak it
// (corosync-ipc 1). It moves messages and knows nothing of their meaning beyond
// the header that all of them share.
//
//	srv, err := qb.Listen(qb.Config{
//		Services: []string{"cpg", "quorum"},
//		Do:       loop.Do,
//		Admit:    func(service string, cred service.Cred) error { return nil },
//		Open:     func(c *qb.Conn) (qb.Handler, error) { return newClient(c), nil },
//	})
//
// A client connects to the setup socket of a service and is answered with the
// names of three rings in shared memory: requests, responses, events. After
// that the socket carries one byte a request and one byte an event, nothing
// else, and its end is the end of the connection.
//
// # Ordering
//
// Requests of a connection reach its Handler in the order they were sent, and
// events leave in the order of Event. Responses are a channel of their own.
//
// # Concurrency
//
// One goroutine, the poller, waits for all sockets. Whatever it finds is handed
// over in batches through Config.Do to the owner goroutine; Handler and the
// methods of Conn run there and nowhere else. Nothing of this package blocks
// the owner: a full ring of events goes over into a bounded backlog that the
// poller moves on as the client reads.
//
// # Ownership
//
// A request's bytes are a private copy, valid until Request returns. What is
// given to Respond and Event is copied before they return.
//
// # Trust
//
// The shared files belong to the client. Every value in them is read once and
// bounded before use, positions of this side are never read back, and a file
// that was truncated under the mapping ends that one connection.
//
// # Limits
//
// Messages have at most the size agreed in the handshake, Config.MaxMessage at
// most. A connection takes two descriptors and about three times the message
// size in shared memory; its backlog is bounded by Config.Backlog.
package qb
