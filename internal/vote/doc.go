// Package vote is the arithmetic of quorum: whether the members of a ring hold
// enough votes to act (ordering 4.2 to 4.4).
//
// # Use
//
// A node starts with Config.Start, tells the others Config.Announce in each
// round, and when the infos of all members are there calls Decide. The outcome
// has two states, because between the decision and its publication everybody
// has to note it:
//
//   - Decision.Noted is the state from the decision on. It is in place, and
//     where the rules ask for it on disk, before this node's barrier.
//   - Decision.Shown is the state from the activation on, and only then is
//     Decision.Quorate told to anybody.
//
// If a ring change cuts the round off, the state stays what it was, Noted
// included if it came to that.
//
// # Same at all members
//
// Quorate, the votes and the row of a Decision depend on ring, members and
// infos alone, which are the same at all members. The own Config and State only
// shape the own next state, and reach others through the own Info. So a setting
// that differs between nodes still gives one decision: wait_for_all counts when
// any member has it, two_node only when all have it.
//
// # Purity
//
// Functions of their arguments; what comes out shares no memory with what went
// in.
package vote
