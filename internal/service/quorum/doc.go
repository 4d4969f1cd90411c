// Package quorum is the service that decides whether the present ring may act,
// and tells it: to the other services through the executive, to clients as
// events (corosync-ipc 2.2), to people as a sentence.
//
// # Round
//
// It synchronises before all other services. Each member sends its info as an
// ordered message; when the infos of all members that run the service are in,
// vote.Decide gives the same decision at all. The decision is noted at once,
// kept as part of the node's record, and shown at the activation, when every
// member is known to have noted it (ordering 4.3). A round that is cut off
// shows nothing.
//
// # Within a ring
//
// What an operator sets, what a quorum device says and who leaves comes as an
// ordered message; all members apply it to one table at the same place
// (vote.Apply). Timers only make a node speak: the end of the window of
// last_man_standing counts when its message comes out of the order. Messages
// that were ordered while the ring was over change the numbers a node goes on
// with, and nothing is shown.
//
// # Quorum device
//
// Its daemon registers and polls at every node by itself, and its votes count at
// those nodes that it votes for (ordering 4.5). What it said of one ring never
// counts in another: a poll for another ring is refused; the round of a new ring
// waits for its word, at most Config.Device.SyncTimeout; and what was sent
// before the round and is ordered after it is void.
//
// # What clients see
//
// A tracking client gets the list of nodes as soon as the members of the ring
// are known to each other, and the decision when it is shown. A decision stands
// until the next is shown, with two exceptions (ordering 4.6): after a pause of
// the process the node counts as not quorate until the ring is known to be in
// place; and while no ring is in place for long, status says so.
//
// # Without a provider
//
// Every ring is quorate. Clients get node lists, and the decision only when
// they ask, with no ring and no members in it.
package quorum
