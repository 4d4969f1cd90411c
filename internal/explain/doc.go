// Package explain finds out why members came and went, so that all of them say
// the same.
//
// # How
//
// Each member notes facts, typed and with their measurements: whose port was
// refused, who fell silent for how long, who is heard and does not hear, how long
// the member itself was not run. When a configuration is installed it tells its
// facts to the others in one ordered message, a Testimony; what it learns later
// of a node that is away, or in trouble, it tells in further ones. A Ledger folds
// the testimonies of all members by fixed rules into one Explanation for each
// change, one Part for each node that it concerns, with a reason, a sentence and
// the evidence. What enters reason and sentence comes out of the order, so they
// are equal at all members that delivered the same messages.
//
// # No cause without evidence
//
// A node that merely fell silent is Silent: nothing tells whether its process,
// its machine or its network stopped. What only that node can know it tells when
// it is back, and the explanation of its absence is completed: it was Paused or
// Starved, or heard nobody (CutOff), or heard others that did not hear it
// (OneWay).
//
// # Sides
//
// When rings merge, each member says whom it came along with. The main side is
// the one with most members, of equal ones that with the lowest node; the others
// joined it. Who was with the main side before and did not come along has left.
//
// # Purity
//
// A Ledger reads no clock and keeps no order that could differ: what it is told
// is all it knows. One owner. What it returns is not to be changed. Messages of
// others are bounded before anything is allocated for them. A member that has no
// explanation yet, since a testimony is still missing, says so (Complete).
package explain
