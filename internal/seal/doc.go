// Package seal decides who is heard: keys, the envelope of every datagram,
// sessions with their nonces, replay windows, liveness of links, and fragments
// (ordering 3.2, 3.5, 3.7).
//
// A Core is pure in the same way as the ordering engine: datagrams and Ticks
// come in, datagrams and typed events go out, nothing reads a clock, a socket
// or a random source. The socket shell around it is internal/link.
//
// # Ordering
//
// The core gives authenticated frames with their source and drops duplicates
// and replays. It promises neither order nor delivery.
//
// # Concurrency and ownership
//
// One owner. Open decrypts in place and returns views into the datagram.
package seal
