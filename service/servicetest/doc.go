// Package servicetest runs services on several nodes in memory, without a
// network and without time passing: one total order per ring, scripted
// partitions, merges, crashes and restarts, synchronisation rounds as in
// ordering 4.1, and a checker that compares what the nodes' services dump.
//
// A Cluster starts with every node in a ring of its own. Split gives the nodes
// new rings with the guarantees of extended virtual synchrony and leaves the
// rounds to be run; Run works until nothing moves, Step does one thing that the
// caller chooses. In between a test opens connections, calls, and reads events:
//
//	c := servicetest.New(t, 3, func(servicetest.NodeID) []service.Service { return []service.Service{&locks{}} })
//	c.Split(c.All())
//	c.Run()
//	a := c.Node(1).Open(40)
//	answer := a.Call(0, []byte("name"))
//	c.Run()
//	c.Check()
//
// What the kit does on its own account, because a test would hardly do it on
// purpose: messages stay behind in the order when a ring ends, members of one
// transitional configuration are told the same up to the same place, calls that
// need flow control wait while a round runs, messages of one node share slots, a
// safe message that somebody was given before the transitional configuration comes
// to all, and bodies are overwritten when the call they came with returns.
//
// # Swarms
//
// [Swarm] makes plans of its own, one from each seed: partitions and merges in the
// middle of rounds, crashes, clients that come, call and go, nodes that are full,
// time that passes. It compares the replicas whenever all is quiet, and runs each
// plan twice, so that a service that looks at the clock, at random numbers or at
// the order of a map is found even if its replicas agree by chance. Whoever has
// written a service should begin with it.
//
// # Quorum
//
// There is no quorum service unless the caller adds one, as [Quorum] or
// [Plan].Quorum: without it every ring counts as primary component, and what a
// service does where it is not is not seen.
//
// Everything runs on the caller's goroutine.
package servicetest
