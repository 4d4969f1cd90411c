// Package vote is the arithmetic of quorum: whether the members of a ring hold
// enough votes to act (ordering 4.2 to 4.5).
//
// # Use
//
// A node starts with Config.Start, tells the others Config.Announce in each
// round, and when the infos of all members are there calls Decide. The outcome
// has two states, because between the decision and its publication everybody
// has to note it:
//
//   - Decision.Noted is the state from the decision on. It is in place, and
//     where the rules ask for it (Config.NotesFirst) on disk, before this node's
//     barrier.
//   - Decision.Shown is the state from the activation on, and only then is
//     Decision.Quorate told to anybody.
//
// If a ring change cuts the round off, the state stays what it was, Noted
// included if it came to that. From the activation on the infos are those of
// Decision.Infos: a table that all members hold alike.
//
// What changes within a ring (an operator's numbers, a quorum device, a node
// that leaves) comes as an ordered message, and all members Apply it to their
// tables at the same place.
//
// # Same at all members
//
// The votes of nodes and every number that is carried on depend on ring,
// members, infos and changes alone, which are the same at all members. The own
// Config and State only shape the own next state, and reach others through the
// own Info. So a setting that differs between nodes still gives one decision:
// wait_for_all counts when any member has it, the features that make quorum
// easier to have only when all have them. There is one exception: the votes of
// a quorum device count at the members that it votes for (4.5), so these may be
// quorate while others are not.
//
// # Ties
//
// A tie goes to the side that holds the member named by the newest quorate
// configuration that anybody may have seen, as far as the members' primary
// records tell (4.3). A member that has nothing in its record can not know, and
// makes a tie undecided. The rule of the tie breaker should be changed only
// while all nodes are together; records rolled back by hand defeat it.
//
// # Purity
//
// Functions of their arguments; what comes out shares no memory with what went
// in.
package vote
