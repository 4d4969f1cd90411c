// Package native is the door for our own clients: one SOCK_SEQPACKET socket, on
// which each client opens as many services as it likes. docs/protocols/native.md
// describes the protocol, package frame implements its messages.
//
// # Ownership
//
// Everything of a client belongs to the member's owner goroutine: it reads the
// sockets, serves requests and writes answers and events. The one goroutine of
// this package waits for all sockets and hands over which of them are ready; as
// it may become the owner by doing so, a request to an idle member is served
// where it arrived. What a client sends while the ring turns quickly is read when
// the token comes, without waking anybody (Pull).
//
// # Memory
//
// A client gets credit for requests, and gets it back as the services take them,
// which they do not while much waits for it that it does not read;
// it gives credit for events, and gives it back as its user takes them. Events
// without credit wait here, which the executive sees and bounds: a client that
// does not take them slows the ring down and is cut off in the end.
//
// # Bad clients
//
// A message that breaks the protocol ends its socket, with a reason that the
// client is told and the log notes, at most maxComplaints a minute.
package native
