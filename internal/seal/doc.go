// Package seal decides who is heard: keys, the envelope of every datagram,
// sessions with their nonces, replay windows, liveness of links, and fragments
// (ordering 2.2, 2.18, 3.2, 3.5, 3.7).
//
// A Core is pure in the same way as the ordering engine: datagrams and Ticks
// come in, datagrams and typed events go out, nothing reads a clock, a socket
// or a random source. The socket shell around it is internal/link.
//
// # Driving
//
// The driver hands every datagram to Open, calls Advance no later than
// Output.Wake, and after each round of inputs sends Output.Send and takes
// Output.Events in their order. A frame is sent by asking Route for the links,
// SealFrame for the datagrams and Addr for their destination; Reset ends the
// round. After a pause of the process the driver reads its sockets before it
// believes the clock; the core gives each link one more link_dead of time.
//
// # Ordering
//
// The core gives authenticated frames with their source and drops duplicates
// and replays. It promises neither order nor delivery. Within one Output,
// EventSession precedes every event of that session, and a frame is returned by
// Open only after its session's event was appended.
//
// # Concurrency and ownership
//
// One owner. Open decrypts in place: Opened.Frame is a view into the datagram,
// or memory of its own if it came in fragments. Buffers of SealFrame are valid
// until the Reset after next, an Output until the next Take. Neither SealFrame
// of one datagram nor Open of a frame allocates in the steady state.
//
// # Keys
//
// HKDF-SHA256 leads from the key file and the cluster id to a master key, from
// there to one key an epoch, and to a key for each life of each node: its id,
// incarnation and boot salt. A life changes its key every 2^28 datagrams, which
// are at most 2^44 bytes; the counter in the envelope says which key it is. The
// counter is the nonce. It never starts again within a life, neither with a new
// generation nor with a new epoch.
//
// # Sessions
//
// Of a life only ping, pong and notice pass until its pong echoes the nonce of
// this boot. Everything at or below the counter of that pong is closed from then
// on. Ping, pong and notice have a window of their own on each link: all links
// share one counter, so on a slow link they would fall behind a window that a
// fast one moves. All windows start at the same counter and none moves back.
//
// A pong makes the link it came over usable at once at the first contact of a
// session, because it has just proved both directions. A link that was down
// needs 3 pongs, and 3·2^k after k flaps within a minute. The return from the
// first outage is not a flap.
//
// A later or earlier start of a node whose session is alive, at another address,
// is asked whether it is alive too, at most once a second; when it answers there
// are two machines with one id. A recorded datagram answers nothing.
//
// A node with another version of the node table is reported at both ends and
// heard all the same, since a changed configuration is loaded node by node. A
// node without a common protocol version is reported and gets no session.
//
// # Hints
//
// Pings, pongs and notices carry eight clear, authenticated bytes: the cluster
// tag and a tag of the epoch's key. A datagram with other tags than ours could
// not be opened, so it is dropped unread, and the tags say what to tell the
// operator: another cluster name or another key. As every node pings, each of
// the two sides finds out by itself. The tags reveal that two datagrams belong
// to one cluster and one key, which their addresses tell as well.
//
// # Limits
//
// Key derivations: 8 a second and source address; all addresses that are not
// configured count as one source. Notices: one a second and node for a stale
// incarnation or an id conflict, one a minute for the rest. Events about
// mismatches: one a minute and source,
// of a new cause one a second. Fragments: 32 frames of a sender at a
// time, one of them above 64 KiB, one second each, 3 MiB in all, of the largest
// size wire.MaxFrame. Replay windows: 8192 data datagrams, 1024 others.
package seal
