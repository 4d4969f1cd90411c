// Package explore walks all interleavings of a small cluster: the real engine
// (internal/totem), every order in which frames arrive and timers fire, crashes
// between any two steps, within printed bounds (ordering 5.1, 5.4).
//
// # The model
//
// A state of the cluster is one engine state a node, what each node showed its
// clients, what its disk holds, the frames in flight, and the faults that are
// still allowed. An action changes it: a frame arrives, an armed timer fires, the
// disk answers, a client submits, a node crashes or starts again, the network is
// cut or heals, a node learns that a link is down. Time stands still: every
// input carries the same Tick, and any armed timer may fire at any moment. That is
// more than real time allows, so what is never wrong here is never wrong there;
// what depends on lengths of time (pauses, 2.10, back-off) does not happen.
//
// The network is a set of frames for each receiver: frames overtake each other, and
// equal frames in flight are one. Losing a frame is not an action: a frame that
// stays in flight to the end of a path was lost. A partition drops what is in
// flight across it. Of one sender's Joins only the last stays in flight, unless
// Bounds.LateJoins keeps all, and a frame that neither now nor later does anything
// is taken away.
//
// What is judged: the properties of ordering 1.3 that concern safety, each by one
// node's record or by a pair of them (judge.go), stable claims against what all
// hold, promises against the disk, the invariants of the engine, panics and stops.
// Of liveness only this is seen: an engine that waits while no timer of its own
// would bring it on.
//
// # How it is fast
//
// Each action touches one engine. Engine states are kept once, by their canonical
// encoding (totem.AppendState), and so is the outcome of each input to each of
// them; a cluster state is a few numbers. The engine runs only for a pair of
// state and input that was not seen before. Replay drives a path again with fresh
// engines and nothing kept, and hands its trace to internal/sim/check.
//
// # Bounds
//
// Bounds limits faults, messages, rings and the visits of a token to a ring. States
// are told apart without token numbers, so idle rotations lead back to a known
// state; a state that is reached again with fewer visits is walked again, so the
// bound cuts the same whatever the order of the walk.
package explore
