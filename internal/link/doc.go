// Package link moves datagrams: per link one UDP socket for data and one for
// token and control, on adjacent ports (ordering 3.6). It knows addresses and
// sockets and nothing of what is in a datagram; internal/seal does.
//
// # Receiving
//
// One goroutine a socket reads batches and hands each to the handler, which owns
// the batch until it calls Release. The buffers of a batch may be written to, so
// that datagrams are decrypted in place. A socket has a fixed number of batches:
// when all are out it waits, and the kernel's buffer fills. So a slow reader
// costs dropped datagrams, which are counted, and never memory. The handler is
// called by one goroutine a socket at a time and by several for several sockets.
// Data and control come in batches of their own, so that the owner can read first
// what the engine asks for (ordering 2.8 A5).
//
// # Sending
//
// Send hands datagrams to the kernel in their order, as many in one system call
// as follow each other on one socket. It copies nothing: datagrams to several
// receivers share one buffer, free for reuse when Send returns. Of a run on one
// socket only the datagrams to the same address keep their order. It never waits:
// what the kernel does not take is counted by cause and dropped, since the
// protocol sends again what matters. Any goroutine may call it.
//
// # Faults
//
// A cable out, an interface or address that goes away, a firewall: all of them
// are ordinary. Datagrams are dropped and counted, the sockets stay and work
// again when the fault is over. A bound address that comes back needs no new
// socket; an address that is not there when the link opens is waited for, with a
// warning.
//
// A refused port and a datagram too large for the interface are reported to
// Config.Refused and Config.TooBig with the destination. Both may be called by
// any goroutine, also from within Send: they must not block nor call the Link.
//
// # Limits
//
// Buffers hold datagrams of Config.MTU bytes; longer ones are dropped and counted
// as truncated. Memory is Batches·Batch·MTU for each of two sockets a link, and
// for data Batches·Batch·16 KiB (4 MiB) where the kernel merges datagrams.
package link
