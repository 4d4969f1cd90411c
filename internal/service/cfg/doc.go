// Package cfg is the service that changes members themselves: it ends them,
// reloads their configuration and tells how they reach each other (corosync-ipc
// 2.5). What has to happen on the node it asks of its Host.
//
// # Order
//
// A kill, the news that a node goes down and the votes on a reload are ordered
// messages, so all members see them at the same place.
//
// # Shutdown
//
// Clients that track are asked before a node goes down and may say no; who does
// not answer in time says no. The vote is the node's own.
//
// # Reload
//
// All members reload or none does. The node that is asked reads its file and has
// the nodes vote on it, in their council (package groups). Every node then checks
// its own file against what is in force, and approves with what the others must know
// of it, or says why not. When all approve, and their files go together, each
// applies its file, at the last vote's place in the order; when one refuses, nobody
// does, and whoever asked learns who refused and why. When the nodes change in
// between, the vote has no result, and the node that was asked tries anew a few
// times.
//
// Votes are safe messages: a member that counts the last one in its regular
// configuration knows that all members will, so those that go on together apply
// together. Only a ring that breaks into several at that very moment may leave parts
// of it without the change; config.reload_status tells, and asking again mends it.
package cfg
