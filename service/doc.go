// Package service is the interface that cluster services are written against:
// the built-in ones and those of other people alike.
//
// A service is a replicated state machine. Its client handler never changes
// replicated state, it only validates and multicasts; state changes happen in
// Deliver and ConfigChange, which run on every node in the same order with the
// same arguments. After each regular configuration the executive runs one
// synchronisation round per service, in the order of their ids, so that all
// members go on with the same state.
//
// # Concurrency
//
// One goroutine per node, the executive's, runs all service code: Start, Stop,
// Deliver, ConfigChange, Open, the Client's methods, the Syncer's methods and
// timers. A service needs no locks and starts no goroutines for its state.
//
// # Determinism
//
// Deliver, ConfigChange and the Syncer's methods must not look at the clock, at
// the order of a map or at anything else that differs between nodes.
//
// # Ownership
//
// Bodies and slices that come in are valid until the call returns. What is
// handed out is copied before the call returns.
package service
