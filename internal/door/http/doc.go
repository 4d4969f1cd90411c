// Package httpdoor answers people and monitoring over HTTP: documents about the
// node (package admin), a stream of events, metrics, health, and the order to
// reload. It implements nothing of what it shows.
//
// # Who is served
//
// The door is a unix socket in the run directory, served to whoever may open it;
// what changes something is for root and for the user that runs the agent. On
// TCP it listens only with mutual TLS, where a certificate of the configured
// authority may do everything, or on a loopback address, where everybody on the
// machine may read what monitoring needs, and nothing else. Requests to a
// loopback address must name it, so that no web page reaches it by a name of its
// own, and what changes something is refused to pages of other sites. The door's own
// page is in package dashboard; whoever may read the documents may read it.
//
// # Limits
//
// Connections, streams and requests in work are bounded, as are headers; bodies
// are not read. A reader of the stream has a position in the log of events and no queue:
// one that is too slow for the log is told of the gap, one that does not take
// what is written within WriteTime is cut off.
//
// # Concurrency
//
// Methods of the Backend are called on goroutines of the door, several at a
// time. Close waits for all of them.
package httpdoor
