// Package sim runs whole clusters in one thread and virtual time, breaks them on
// purpose, and has an independent checker judge what came out (ordering 5).
//
// # A run
//
// A Plan says everything a run depends on: nodes, constants of the engine, and
// a schedule of faults and client messages, all explicit. Draw makes a Plan from
// a seed; every seed draws its own mix, many faults off and some extreme. Run
// executes it through the phases of ordering 5.3: boot, chaos, heal, liveness,
// drain, final. The same plan gives the same trace, bit for bit; Result.Hash
// tells.
//
// # Determinism
//
// One goroutine, one event queue ordered by (virtual time, sequence number), no
// wall clock, no map whose order could reach a decision. Random numbers come
// from named streams; each directed link has its own, so that a fault taken out
// of a schedule changes nothing on other links.
//
// # What is real
//
// With Bare the nodes are engines (internal/totem) under a small driver with a
// simple model of sessions and link liveness. Without it they are whole nodes:
// executive, sealing, synchronisation, quorum, process groups and, in some plans,
// Group Services; only sockets, clocks, disks and clients are replaced.
package sim
