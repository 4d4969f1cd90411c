package service

import "github.com/moothall/moothall/internal/proto"

// Epoch is the sequence number of a quorate regular configuration.
type Epoch = proto.Epoch

// Primary is the primary record of a node (ordering 4.3).
type Primary = proto.Primary

// Attempt is an entry of Primary.
type Attempt = proto.Attempt

// Quorum is what the quorum service implements, one of a node's services and
// the one with the lowest id. Without such a service every configuration counts
// as primary.
//
// The Executive that its Start gets is a QuorumKeeper too. Within a round the
// service calls Decided from SyncActivate at the latest: the executive asks
// after that call whether the other services go on as members of the primary
// component. SyncProcess answers "not done" while a Keep that the rules want
// before the barrier is not answered yet.
type Quorum interface {
	Service
	Syncer
	// Current tells how much the last decision is worth from now on. After
	// Reconfiguring and Unknown the next Decided makes it current again.
	Current(c Currency)
}

// Currency is how much the last quorum decision is worth now (ordering 4.6).
type Currency uint8

const (
	CurrencyNow           Currency = iota // it describes the ring that is in place, or left it a moment ago
	CurrencyReconfiguring                 // no ring is in place for longer than the token timeout: not quorate
	CurrencyUnknown                       // this process was not running, others may have gone on: not quorate
)

// String is the word of status output and logs.
func (c Currency) String() string {
	switch c {
	case CurrencyNow:
		return "current"
	case CurrencyReconfiguring:
		return "reconfiguring"
	}
	return "unknown"
}

// QuorumKeeper is the part of the executive that serves the quorum service. It
// is reached by a type assertion of the Executive:
//
//	keeper := x.(service.QuorumKeeper)
//
// All methods run on the executive's goroutine.
type QuorumKeeper interface {
	// Kept is the quorum part of the node's record as found at the start, false
	// without a record.
	Kept() (r QuorumRecord, found bool)
	// Keep makes r durable in place of all earlier ones. done, if not nil, is
	// called later, never from within Keep; after an error the node stops. Several
	// calls may be answered by one write, in their order. The record is copied.
	Keep(r QuorumRecord, done func(err error))
	// Decided shows a decision: at the activation in a round, and whenever an
	// ordered message changes it afterwards.
	Decided(s QuorumState)
}

// QuorumRecord is what the quorum service wants to find again after a restart.
type QuorumRecord struct {
	EvBarrier uint32 // expected votes from configuration or operator: the floor of downscale
	Tracked   uint32 // highest expected votes ever seen, for expected_votes_tracking
	Primary   Primary
}

// QuorumState is one decision about one ring.
type QuorumState struct {
	Ring     RingID
	Quorate  bool
	Expected uint32  // E of ordering 4.2
	Needed   uint32  // Q
	Votes    uint32  // V, the quorum device's included if it votes for this node
	Device   uint32  // how many of Votes are the device's
	Reserved uint32  // how many of Expected are a device's, whether it votes or not
	Epoch    Epoch   // primary epoch of this node after the decision
	Row      string  // of the decision table, as a dashed word
	Text     string  // the same as a sentence for people
	Shares   []Share // votes of the ring's members, ascending; nil: a provider is not configured
}

// Share is how many votes a node has.
type Share struct {
	Node  NodeID
	Votes uint32
}

// QuorumViewer is implemented by every Executive: services may look at the last
// decision. In SyncActivate it is already the one of the round's ring.
type QuorumViewer interface {
	Quorum() (s QuorumState, c Currency)
}

// QuorumListener is implemented by a service that wants to know when what
// QuorumViewer says changes, but for changes with a ring: those it sees in its
// own activation. Optional.
type QuorumListener interface{ QuorumChanged() }

// Bystander is implemented by a service that needs quorum and wants to know that a
// round ended without it: the ring is not the primary component, or not any more.
// Optional.
type Bystander interface{ PassedBy() }

// Chooser is implemented by a Syncer that chooses who sends by a rule of its own
// instead of the one of ordering 4.1. It must decide by r alone; r.Sender is
// the choice of the general rule.
type Chooser interface {
	SyncSender(r Round) NodeID
}
