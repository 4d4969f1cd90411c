// Package fuzz attacks clusters of whole members: executive, real sessions with
// AES-256-GCM, engine, synchronisation, quorum and process groups, in one thread
// and virtual time.
//
// # Who attacks
//
// The stranger has no key. It sends garbage, datagrams cut short or with flipped
// bits, wrong envelopes, and what it recorded. The insider is one configured
// node whose member works as it should, but whose voice is in wrong hands: some
// of what the member sends is changed before it is sealed, and frames, parts of
// frames, pings, pongs and notices of the insider's own making go out in
// between, sealed with the member's key and numbered as its own. What it makes
// up is built from recent frames of the cluster, changed field by field, so that
// it gets past decoders and first checks.
//
// # A run
//
// Run draws a cluster and the habits of its attackers from a seed, then goes
// through cycles: an attack under client traffic and view changes (cut links,
// crashes), then peace. In peace all nodes must be in one quiet ring within the
// bound of L1, the insider's included; what clients multicast from then on must
// reach all of them in one order; services must hold the same state; an idle
// ring must be idle (L4); queues must be within their bounds all the time, and
// the heap may not grow from cycle to cycle. Messages from the time of the
// attack may be lost or reordered: an insider can order what it likes.
//
// A member that stops because the insider told it so, as a node must that hears
// of its own clone, is started again after a while, as a service manager does.
//
// # Counting
//
// A datagram counts once for each member that got it from the attackers. It
// counts as sealed when the session layer opened it and gave its frame to the
// engine; Totals.Frames holds these by state of the receiver and type of frame.
package fuzz
