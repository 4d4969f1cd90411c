// Package store keeps the few facts that a node must not forget: the durable
// record of ordering 2.2, in a state directory that one process holds.
//
// # Files
//
//	lock   held with flock for the life of the process; holds its pid as text
//	ring   two slots of SlotSize bytes, written in turn, each with its CRC32C
//
// A record is never partly replaced: one slot is overwritten while the other
// keeps the record before it. Both slots are written and the directory is
// synced when the file is created, so a slot that does not parse later is
// damage or a torn write, never a file that is still young.
//
// # Durability
//
// Save returns at once and answers when the record has reached the disk
// (fdatasync). Records that wait behind a slow disk are superseded: only the
// newest is written, and its success answers all older ones too. After the
// first error nothing is written any more and every Save gets that error: the
// caller has to stop, for it can no longer keep a promise.
//
// # Concurrency
//
// Save may be called from one goroutine at a time; it never blocks on the disk.
// Its answers come in order on the store's own goroutine.
package store
