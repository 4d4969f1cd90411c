// Package remote runs a service in a process of its own, beside the agent of the
// machine. The service is the same value that a program with a member inside
// would give to node.Config.Services:
//
//	func main() { remote.Main(&locks{}) }
//
// and moot.toml says how the agent starts it, on all nodes alike:
//
//	[[service]]
//	name = "locks"
//	id = 40
//	command = "/usr/libexec/locks"
//
// # What is the same
//
// The service gets the same calls in the same order as in the agent's process,
// on one goroutine, under the contract of package service, and of its optional
// interfaces all but one, below. Its replicas never
// diverge: a process that ended has lost its state, so to the others its node
// has left, and it joins again with a state that they give it in a round. What no
// process holds any more is gone, as when the last node of a cluster stops. The
// agent starts a process again after a pause that grows from 100 ms to 30 s.
//
// # What is different
//
//   - Configurations are those of the service: their members are the nodes on which
//     its process runs. They change with the ring and when a process comes or goes,
//     in which case the members of the ring stay. Two transitional configurations may
//     follow each other. The ring numbers of a ConfigChange and a Round count these
//     configurations, a transitional one has the number of the one that ends;
//     Message.Ring and Slot are the place in the order of the nodes' ring.
//   - A round of the service does not keep other services waiting. Calls of clients
//     wait while it runs, and while there is no process; calls without Flow too.
//   - When the process ends, the connections of its clients at this node end. A
//     program opens the service again.
//   - A client that the service refuses in Open has its connection ended, with the
//     code. Push and Close return before the agent has acted; a client that does not
//     take its events is cut off.
//   - What a service.Leaver multicasts may come too late.
//   - An error of SyncProcess, and a panic, end the process, not the node.
//   - Round.Peers has a weight of 1 for each.
//   - A service.Aborter has no last word: when the member ends, so do its clients'
//     connections, before anything from a process could reach them.
//
// # A process that is slow
//
// What it has not taken slows the ring down, like a slow client. It is ended, and
// started again, when it holds 8 MiB of deliveries for 30 s in which it took less
// than that, and when it answers nothing, or does not come to Main, for longer than
// the configuration's timeout, 30 s unless set. The agent never waits for it.
//
// All nodes of a cluster run a service in the same way: in processes, or inside of
// members.
package remote
