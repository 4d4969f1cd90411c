// Package cpg is the process group service: processes on all nodes join named
// groups, multicast to them in one total order, and see each group's changes at
// the same place in that order (corosync-ipc 2.1).
//
// # State
//
// The replicated state is the list of processes of each group. It changes only
// when an ordered message is delivered or a synchronisation is activated, so it
// is the same at all members of a ring. Beside it each node knows its own
// connections: which group each is in, and how far its join or leave has come.
//
// # Order
//
// A client's events come in the order of the ring: messages, changes of the
// group, and at the end of a synchronisation the processes of lost nodes, those
// that are not announced any more, those of nodes that came, and one TotemConf.
// A connection gets what happens in its group between the delivery of its join,
// included, and of its leave, included.
//
// # Synchronisation
//
// Every member announces the processes of its own node as the order has them,
// never as its connections say: a join or a leave that is still on its way comes
// after the round and finds the list without it. So a process that joins and
// ends during a round leaves nothing behind. A node that did not come along all
// the way since the last activation is lost, and joined if it is a member again:
// the members may have missed messages of each other.
//
// # Programs and libcpg
//
// Connections use libcpg's calls and events or those of program.go. Both kinds
// meet in the same groups and get the same messages in the same order. A program
// may be in a group several times, by connections that libcpg's lists show as one
// process.
//
// A program's view comes with each change of its group, each ring, and each
// change of the quorum decision. The last kind has no place in the order when the
// decision merely went out of date.
//
// # State of a group
//
// Members may say that they hold a state that is the same at all of them. Who
// joins, and after a merge who was not on the winning side, gets it from a member
// that has it, as of a place in the order that is the same at all: the giver has
// delivered exactly what comes before, and the receiver applies what comes after.
// Pieces travel as ordered messages. A ring change ends all transfers and begins
// them anew; so does the end of a giver for those it gave to.
//
// # Flow
//
// Calls that multicast answer ErrAgain when there is no room, and leave nothing
// behind; a message that was accepted is delivered. The leave of a connection
// that ends can not be refused, it is kept until there is room. A client that
// does not take its events loses its connection, not single events.
//
// # Memory
//
// A group exists while it has processes or connections. Each connection has at
// most maxIterators iterations.
package cpg
