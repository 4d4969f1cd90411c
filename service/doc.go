// Package service is the interface that cluster services are written against:
// the built-in ones and those of other people alike. docs/tutorial-service.md
// builds one step by step.
//
// A service is a replicated state machine. Its client handler never changes
// replicated state, it only validates and multicasts; state changes happen in
// Deliver and ConfigChange, which run on every node in the same order with the
// same arguments. After each regular configuration the executive runs one
// synchronisation round per service, in the order of their ids, so that all
// members go on with the same state.
//
// # Where a service runs
//
// A program that embeds a member hands it over in node.Config.Services. Beside an
// agent it runs in a process of its own, by package remote, and moot.toml names
// its command; what a service sees is the same, and its code is the same. Package
// servicetest runs it on several nodes in memory, without either. Ids and names
// follow [Info.Check]; a clash ends the start with an error that names both.
//
// Programs reach a service through a [Session]: the member in their process or
// the agent of their machine. They open it by id or name, call, cast, and receive
// what it pushes as one ordered stream.
//
// # Order
//
// Start comes first and Stop last. In between all nodes see the same sequence of
// ConfigChange and Deliver, as long as they are members of the same
// configurations: messages in the order of the ring, a transitional configuration
// before what only its members still get, the regular one before what follows.
// A sender gets its own messages at their place in the order. The round of a
// regular configuration lies between it and the next Normal message; the order of
// its calls is in [Syncer]. Own messages are never delivered from within
// Multicast.
//
// Events that a service pushes reach a client in their order; nothing is said
// about the order of events and answers of one connection.
//
// # Concurrency
//
// One goroutine per node, the executive's, runs all service code: Start, Stop,
// Deliver, ConfigChange, Open, the Client's methods, the Syncer's methods and
// timers. A service needs no locks and starts no goroutines for its state. It must
// not block: the member waits for it.
//
// # Determinism
//
// Replicas stay equal because each of them computes the same from the same
// (openais-executive 3.7):
//
//   - What changes state in Deliver, ConfigChange and the Syncer's methods depends
//     on their arguments and the state alone: not on the clock, a random number, a
//     file, or the order in which a map is walked. Such a value goes into the
//     message, at its sender.
//   - A client is answered only where it is connected: Executive.Local says so, and
//     whether it still is.
//   - A node in ConfigChange.Left of a transitional configuration has closed
//     all its connections: what they held is released there and then.
//   - Who sends what in a round is decided from the Round alone, and lists are
//     sent in a defined order.
//   - A timer that changes replicated state does not do so by itself: it
//     multicasts, and the state changes where that message is delivered. Several nodes
//     may do so at once, so the message names what expires, and only the
//     first one finds it.
//
// A service whose Info says RunsWithoutQuorum is not set gets no messages while
// its node is outside the primary component, and its clients are refused with
// ErrAgain, but for calls that are Local.
//
// # Ownership
//
// Bodies and slices that come in are valid until the call returns. What is
// handed out is copied before the call returns.
//
// # Limits
//
// A message, a call, an answer and an event have at most 1 MiB of body (MaxMessage). Multicast
// refuses with ErrTryAgain while the ring's queue is full; a call with Flow is
// passed on only while there is room, so that a handler that multicasts once
// finds some. A client that does not take its events slows the ring down and is
// cut off after 30 seconds, or at 64 MiB.
//
// # Errors
//
// A service's error ends the node only from Start, and from SyncProcess: state
// that is not whole is never served. A panic ends the process, as everywhere. What
// arrives in bodies comes from other programs: check all of it.
package service
