// Package corosync is the door for programs that are linked with the client
// libraries of Corosync 3.x, unmodified: libcpg, libquorum, libvotequorum,
// libcmap and libcfg (corosync-ipc 2). It translates between the structures of
// those libraries and the calls and events of the services; how bytes reach a
// client is the business of package qb.
//
//	door, err := corosync.Listen(corosync.Config{
//		Backend: executive,
//		Self:    3,
//		Addrs:   addrs,
//		Access:  corosync.Access{UIDs: []uint32{189}},
//	})
//
// # Concurrency
//
// Listen and Close may be called on any goroutine but the owner's, SetAccess on
// any. Everything that touches a service runs on the owner goroutine, in batches
// handed over through Backend.Do.
//
// # Order and back-pressure
//
// A client's requests reach its service in the order they were sent. One that
// the backend does not take stays here, those behind it stay in the client's
// ring, and the flow-control word makes multicasts fail with "try again" at the
// client until Sink.Hold(false). Events are never dropped: what a ring has no
// room for is kept, in order, up to Config.Backlog bytes; beyond that the
// connection ends. Handle.Taken tells the backend how much has left.
//
// # Limits of the libraries
//
// libcpg copies lists into arrays of 128 without looking. A longer list of
// members is cut to its first 128, here and in the answer to
// cpg_membership_get; longer lists of joined or left processes are told in
// several events in a row. A message that is too big for the connection, which
// other doors allow, is delivered in fragments that libcpg puts together again.
//
// # Names and namespaces
//
// The setup sockets are abstract names of which a network namespace has one
// set, so there is one such door per network namespace. Listen says who holds
// the names, if not this process.
package corosync
