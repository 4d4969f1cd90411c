package totem

// State is one of the four states of ordering 2.3 that a started machine has.
type State uint8

const (
	Idle State = iota
	Gather
	Commit
	Recovery
	Operational
)

// String is the word used in logs and documents.
func (s State) String() string {
	return [...]string{"idle", "gather", "commit", "recovery", "operational"}[s]
}

// Reason says why a machine changed its state.
type Reason uint8

const (
	ReasonNone             Reason = iota
	ReasonStart                   // first gather after the start
	ReasonTokenLost               // no token within the token timeout
	ReasonForeign                 // a frame or probe of another ring
	ReasonMerge                   // announced by the representative
	ReasonJoin                    // a Join that could not be ignored
	ReasonRestart                 // a member came back with a higher incarnation
	ReasonCannotReceive           // own aru blocked the ring
	ReasonPeerDeaf                // another member's aru blocked the ring
	ReasonSuspect                 // all links to a member are down
	ReasonLeave                   // a member said that it leaves
	ReasonConsensusTimeout        // not everybody agreed in time
	ReasonSettled                 // evidence decided before the consensus timeout
	ReasonCommitTimeout           // the commit token was lost
	ReasonRefused                 // a member refused the commit token
	ReasonAbandoned               // a member gave the attempt up
	ReasonRecoveryTimeout         // token lost in recovery
	ReasonPause                   // this process was not running
	ReasonConsensus               // all agree: commit
	ReasonPromised                // a commit token was accepted
	ReasonCommitFull              // everybody promised: recovery
	ReasonRecovered               // old frames are exchanged: operational
	ReasonAlone                   // nobody else: a ring of one
	ReasonOrderConflict           // slots were used that no token covers
	ReasonDistrust                // the driver asked for another ring: this one's services find no common state
	ReasonHalfLink                // a node does not reach all others, or is not reached by them
	ReasonFlapping                // a node broke the ring too often
	ReasonQuarantine              // a node is kept out for a while
	ReasonOperator                // an operator wished it
	ReasonStopped                 // end
	numReasons
)

// String is the reason as the dashed word of logs, traces and JSON.
func (r Reason) String() string {
	return [...]string{"none", "start", "token-lost", "foreign", "merge", "join", "restart", "cannot-receive",
		"peer-deaf", "suspect", "leave", "consensus-timeout", "settled", "commit-timeout", "refused", "abandoned",
		"recovery-timeout", "pause", "consensus", "promised", "commit-full", "recovered", "alone", "order-conflict", "distrust",
		"half-link", "flapping", "quarantine", "operator", "stopped"}[r]
}

// TraceKind tells what a TraceEvent records.
type TraceKind uint8

const (
	TraceState      TraceKind = iota + 1 // From, To, Reason, Node; Ring = the one being made or entered, in gather the last one
	TraceOrig                            // a piece went into ring order: Ring, Slot, Node, K, No, Last, Safe, Hash
	TraceHeld                            // a frame was stored: Ring, Slot, Node = originator, Hash
	TraceStable                          // every member has all up to Slot of Ring
	TraceSuspect                         // Node is suspected: Reason, Value = silence in Ticks if known
	TraceFail                            // Node was put into the fail set: Reason
	TraceBlocked                         // Node blocks the ring for Value Ticks: its receivers do not take what comes
	TraceRequest                         // Value slots were asked for again
	TraceResend                          // Slot was sent again
	TraceStaleView                       // the process was paused for Value Ticks: nothing shown before is current
	TraceCannotForm                      // gathering does not end; Text says why
	TraceSeqLarge                        // the ring seq passed 2^32
	TraceDrop                            // a frame was refused: Text says why
	TraceQuarantine                      // Node is kept out for Value Ticks: Reason
	TraceRelease                         // Node may come back Value Ticks before its time: Reason
	TraceKeptOut                         // the ring of Node keeps this one out for Value Ticks: Reason
)

// TraceEvent is one thing that happened inside, typed. The executive turns it
// into sentences, counters and the decision log.
type TraceEvent struct {
	Kind   TraceKind
	At     Tick
	Ring   RingID
	Slot   Slot
	Node   NodeID
	From   State
	To     State
	Reason Reason
	Class  Class
	K      uint64
	No     uint64
	Last   bool
	Safe   bool
	Hash   uint64 // of the frame's bytes without the header's flags
	Value  int64
	Text   string
}
