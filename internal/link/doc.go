// Package link moves datagrams: per link one UDP socket for data and one for
// token and control, on adjacent ports (ordering 3.6). It knows addresses and
// sockets and nothing of what is in a datagram; internal/seal does.
//
// # Receiving
//
// One goroutine reads all sockets and hands each batch to the handler, which owns
// the batch until it calls Release. The buffers of a batch may be written to, so
// that datagrams are decrypted in place. The handler may do its work on this
// goroutine; meanwhile the kernel's buffers take what comes.
//
// Data that arrived, on any link, before a control datagram was read is handed
// over before it: what is in control may speak of that data (ordering 2.8 A5).
// Data and control come in batches of their own. The order among control
// datagrams of several links, or data of several links, is not kept.
//
// A socket has a fixed number of batches: when all are out it is not read, and
// the kernel's buffer fills. So a slow reader costs dropped datagrams, which are
// counted, and never memory. The other sockets are read on, but control waits
// with a data socket that has something to read: a handler that keeps all batches
// of data gets no control until it releases one.
//
// Elsewhere than on Linux a goroutine reads each socket. Then several may
// call the handler at a time, and control may overtake data.
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
