package seal

// Drop is why a datagram was thrown away; each cause has a counter. Zero is no
// drop.
type Drop uint8

const (
	DropShort          Drop = 1 + iota // shorter than envelope, kind and tag
	DropVersion                        // unknown envelope version
	DropMalformed                      // authenticated, but not what its kind promises
	DropLink                           // no such link, or it was sent on another one
	DropOwn                            // it names this node as its sender
	DropUnknownNode                    // sender is not configured
	DropCluster                        // sealed for another cluster
	DropKey                            // sealed with another cluster key
	DropEpoch                          // sealed with a key epoch that is not loaded
	DropEpochClosed                    // epoch earlier than that of the session
	DropBudget                         // too many new senders from that address
	DropAuth                           // the tag does not fit: corrupted or forged
	DropOld                            // below the replay window
	DropReplay                         // came before
	DropNoSession                      // a frame from a life without a session
	DropIncarnation                    // from a life that a later one has replaced, or from a twin of the known one
	DropConflict                       // a later life at another address while the known one lives
	DropProtocol                       // no common protocol version
	DropNonce                          // a pong or notice for another boot
	DropNotice                         // a notice with impossible contents
	DropFragment                       // impossible fragment header or size
	DropFragmentTwice                  // this part is there
	DropFragmentOld                    // parts did not come within a second
	DropFragmentNoRoom                 // parts gave way to newer ones
	DropSendTooLarge                   // a frame above the largest one was to be sent
	numDrops
)

var dropNames = [numDrops]string{
	DropShort:          "short",
	DropVersion:        "envelope-version",
	DropMalformed:      "malformed",
	DropLink:           "wrong-link",
	DropOwn:            "own-node-id",
	DropUnknownNode:    "unknown-node",
	DropCluster:        "other-cluster",
	DropKey:            "other-key",
	DropEpoch:          "key-epoch-not-loaded",
	DropEpochClosed:    "key-epoch-closed",
	DropBudget:         "derivation-budget",
	DropAuth:           "not-authentic",
	DropOld:            "below-window",
	DropReplay:         "duplicate",
	DropNoSession:      "no-session",
	DropIncarnation:    "stale-incarnation",
	DropConflict:       "id-conflict",
	DropProtocol:       "protocol-version",
	DropNonce:          "other-boot",
	DropNotice:         "bad-notice",
	DropFragment:       "bad-fragment",
	DropFragmentTwice:  "duplicate-fragment",
	DropFragmentOld:    "fragment-timeout",
	DropFragmentNoRoom: "fragment-no-room",
	DropSendTooLarge:   "send-too-large",
}

// String is the cause as in counters and logs.
func (d Drop) String() string {
	if d == 0 || d >= numDrops {
		return "none"
	}
	return dropNames[d]
}

// Counter is one number that only rises. Cause is set for dropped datagrams.
type Counter struct {
	Name  string
	Cause string
	Value uint64
}

// tally is the plain counters of one core.
type tally struct {
	drops                           [numDrops]uint64
	packetsIn, bytesIn              uint64
	packetsOut, bytesOut            uint64
	framesIn, framesOut             uint64
	fragmentsIn, fragmentsOut       uint64
	derivations                     uint64
	pingsOut, pongsOut, noticesOut  uint64
	sessions, linkDowns, reassembly uint64
}

// Counters is a copy of all counters: drops by cause first, in the order of the
// causes.
func (c *Core) Counters() []Counter {
	t := &c.count
	out := make([]Counter, 0, int(numDrops)+16)
	for d := Drop(1); d < numDrops; d++ {
		out = append(out, Counter{"seal_dropped_datagrams_total", d.String(), t.drops[d]})
	}
	return append(out,
		Counter{Name: "seal_received_datagrams_total", Value: t.packetsIn},
		Counter{Name: "seal_received_bytes_total", Value: t.bytesIn},
		Counter{Name: "seal_received_frames_total", Value: t.framesIn},
		Counter{Name: "seal_received_fragments_total", Value: t.fragmentsIn},
		Counter{Name: "seal_sealed_datagrams_total", Value: t.packetsOut},
		Counter{Name: "seal_sealed_bytes_total", Value: t.bytesOut},
		Counter{Name: "seal_sealed_frames_total", Value: t.framesOut},
		Counter{Name: "seal_sealed_fragments_total", Value: t.fragmentsOut},
		Counter{Name: "seal_sealed_pings_total", Value: t.pingsOut},
		Counter{Name: "seal_sealed_pongs_total", Value: t.pongsOut},
		Counter{Name: "seal_sealed_notices_total", Value: t.noticesOut},
		Counter{Name: "seal_reassembled_frames_total", Value: t.reassembly},
		Counter{Name: "seal_key_derivations_total", Value: t.derivations},
		Counter{Name: "seal_sessions_total", Value: t.sessions},
		Counter{Name: "seal_link_downs_total", Value: t.linkDowns},
	)
}

// Dropped is the number of datagrams dropped for one cause.
func (c *Core) Dropped(d Drop) uint64 {
	if d >= numDrops {
		return 0
	}
	return c.count.drops[d]
}
