// Package cmap is the map of named, typed values that a node shows about itself
// and takes orders by: its configuration, what is in force, who is a member,
// counters (corosync-ipc 2.4 and 3).
//
// The map is the node's own. Nothing of it is replicated, so nodes may differ;
// where they must not, the values come from something that is agreed upon.
//
// # The two maps
//
// Map is the store. A node has two of them: the default one, which node and
// clients write, and the statistics, which are read. Both live as long as the
// node; a Service, which lets clients at them, lives as long as the engine.
//
// # Order
//
// Keys ascend byte by byte: "a.10" comes before "a.2". A change is told to all
// trackers before the next change is; changes that trackers make are told after
// the present one. Of the trackers of one change those with the longest key come
// first, of equal ones the newest, as in Corosync.
//
// # Ownership and threading
//
// Everything belongs to the owner of the node. Values are immutable.
//
// # Limits
//
// Clients cannot add to a map of MaxKeys keys or MaxBytes bytes; the node itself
// always can. A client has at most MaxIterators iterations and MaxTrackers
// trackers at a time.
package cmap
