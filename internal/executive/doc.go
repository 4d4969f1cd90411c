// Package executive is the one owner of a member: it joins the session layer,
// the ordering engine, the synchronisation of services and the services
// themselves, and keeps the record of what was decided and why.
//
// It contains no protocol of its own. Core is pure like the parts it joins:
// time comes in as an argument, datagrams leave through Env and records are
// stored through it. The agent owns a Core one goroutine at a time (Loop); the
// simulator owns many from one thread.
//
// # Driving
//
// Inputs are method calls with the present Tick: Datagrams, Unreachable,
// Dropped, Persisted, Advance, and the calls of clients. After each round of
// them the owner calls Flush once, and Advance no later than Wake. Everything
// that leaves does so within Flush, except answers to pings, which leave at
// once.
//
// # Order
//
// What the engine delivers reaches the services in that order, configurations
// included, and no service sees a later event before all services saw the
// earlier one. A configuration change goes: clients are told to wait, services
// see the transitional configuration, services see the regular one, the round of
// package resync runs, messages of clients are let go, clients go on.
//
// # Messages
//
// Package service's messages travel as bodies of the engine's, behind a small
// header. Those of a synchronisation go in the control class, which passes while
// the others are held; they carry ring and round, and are delivered in that
// round only. All others go in the normal class and are ordered after the last
// message of the round.
//
// # Back-pressure
//
// Nothing is dropped. A delivery that was pushed to a client counts against the
// engine's budget until the client's door says that it was taken; when the
// budget is used up the engine stops delivering, and its window stops the ring.
// A client that holds half of the budget for Limits.SlowClient is disconnected.
// Calls that need room wait in a queue per client; when that is full, Call says
// so and the door keeps the request.
//
// # Concurrency and ownership
//
// One owner. Bodies that come in are copied before the call returns, bodies
// that go out are valid until it returns.
package executive
