// Package groups is Group Services: named groups whose providers agree on who is
// in them and on a state value, and vote on every change (group services 1).
//
// # State
//
// The domain is the replicated state: which nodes serve it and in what order they
// came, and of each group its attributes, its providers by seniority, its state
// value, the protocol in work with its votes, and what waits. It changes only when
// an ordered message is delivered or a synchronisation is activated, it knows no
// clock and no connection, and all members of a ring have the same one. Beside it
// each node knows its own clients: their tokens, their subscriptions, and what they
// were asked.
//
// # Protocols
//
// A group runs one protocol at a time. Joins, failures, cast-outs and reflections
// wait for their turn; what a provider proposes is refused with Collide unless the
// group is idle. With one phase a protocol is done when it is ordered. With n phases
// the voters are told, and all of them are accounted for before the next phase or
// the end: by a vote, or by the default vote when they fail or are late.
//
// # Council
//
// The nodes themselves are the providers of one group, in which they decide what
// concerns all of them, a reload for instance (CouncilName, Council).
//
// # Time
//
// Time limits are kept by the node of the voter, and what counts is the place in
// the order at which it says that somebody is late. So all nodes agree on who was.
// The same holds for scripts and for checks of responsiveness.
//
// # Partitions and merges
//
// Each part of a divided ring goes on, the others' providers fail. In a merge one
// part survives; in the others all groups are dissolved, their clients are told,
// and they adopt what the surviving part has. Messages that were on their way in a
// dissolved part are void: every message says in which term its node came into the
// domain. Nodes that are in no domain yet are no such part: they join one.
//
// # Cost
//
// Nothing is multicast before a first client says hello, or a first motion of the
// nodes: until then the domain is not formed, and equal at all nodes. Afterwards a merge costs the encoded domain
// once; a ring that only loses members costs nothing.
//
// # Adapters
//
// Each node says which adapters it has, one of each heartbeat network, and which of
// them work; the domain keeps what all said, and the members of a network's group
// are those that work, in the order in which they came up. An adapter that a node
// does not list any more, and one whose node is not configured any more, counts as
// removed; any other that goes has failed.
//
// # Not here
//
// Deactivate scripts are run by whom the node hands in with Config, and the state
// of its adapters is what the node says. Nodes above 32767 cannot have clients.
package groups
