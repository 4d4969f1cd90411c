// Package check decides whether a trace of a cluster keeps the safety
// properties of ordering 1.3. It knows nothing of the engine: it has event types
// of its own and derives what must hold from the events alone.
//
// # Use
//
// Feed Add with the events of a run in their global order, then call End once.
// Findings tells what was violated; each finding names its property (B1, C6,
// D2, ...). Most properties are checked as the events come, the others at the
// end. A trace ends drained when the faults were healed, submitting stopped and
// everything went quiet; only then "live to the end" has a meaning.
//
// Groups judges what clients of process groups saw, Domain what Group Services did
// and told their clients, News cluster events; all have events of their own and
// follow those of the cluster too.
//
// # What counts
//
// A paused life is live: its obligations are late, not waived. Nothing may
// happen at a life after its crash or stop. A message belongs to the ring of its
// last piece. Lives are compared only where they share both the ring they leave
// and the ring they reach.
//
// # Concurrency and cost
//
// One owner. Time and memory are linear in the number of events, but for the
// stability check, which asks once a member.
package check
