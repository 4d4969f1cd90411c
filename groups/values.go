package groups

import (
	"fmt"
	"strings"
	"time"

	"github.com/moothall/moothall/internal/proto"
	gs "github.com/moothall/moothall/internal/service/groups"
)

// NodeID names a node of the cluster.
type NodeID = proto.NodeID

// Limits (group services 17).
const (
	MaxName    = gs.MaxName    // bytes of a group's name
	MaxState   = gs.MaxState   // bytes of a state value
	MaxMessage = gs.MaxMessage // bytes of a message
	MaxFlag    = gs.MaxFlag    // bytes of the flag of an expel
)

// HostMembership is a group of the service's own: its members are the nodes of the
// domain, with instance 0, oldest first. It can only be subscribed to.
const HostMembership = gs.HostMembership

// AdapterMembership names the group of the network adapters that a link of the
// cluster uses, which can only be subscribed to: an adapter that nobody hears is not in
// it. The instance of a member is the link's number.
func AdapterMembership(link int) string {
	if link == 0 {
		return "enMembership"
	}
	return fmt.Sprintf("en%dMembership", link)
}

// ProviderID names a provider of a group. The zero value is nobody: what the service
// itself proposes comes from it.
type ProviderID struct {
	Instance int16 // tells the providers of one node apart
	Node     NodeID
}

// String is instance and node with a slash between, as Group Services write it.
func (p ProviderID) String() string {
	if p == (ProviderID{}) {
		return "nobody"
	}
	return fmt.Sprintf("%d/%d", p.Instance, p.Node)
}

func providerID(p gs.Provider) ProviderID {
	if p.Node <= 0 {
		return ProviderID{}
	}
	return ProviderID{p.Instance, NodeID(p.Node)}
}

func providerIDs(list []gs.Provider) []ProviderID {
	if list == nil {
		return nil
	}
	out := make([]ProviderID, len(list))
	for i, p := range list {
		out[i] = providerID(p)
	}
	return out
}

// Vote is the answer to one phase of a protocol.
type Vote uint8

// Votes. A protocol is approved when all voters approve one phase of it; one that
// wants to go on gets all into another phase; one that rejects ends it at once.
const (
	Approve  = Vote(gs.Approve)
	Continue = Vote(gs.Continue)
	Reject   = Vote(gs.Reject)
)

// String is the word for it.
func (v Vote) String() string {
	if int(v) < len(voteNames) {
		return voteNames[v]
	}
	return fmt.Sprintf("vote %d", uint8(v))
}

var voteNames = [...]string{"none", Approve: "approve", Continue: "continue", Reject: "reject"}

// Phases says whether a protocol is voted upon.
type Phases uint8

// Phases of a protocol.
const (
	OnePhase = Phases(gs.OnePhase) // nobody votes: it is done when it is ordered
	NPhases  = Phases(gs.NPhase)   // all vote, in as many phases as they want
)

// String is "one phase" or "n phases".
func (p Phases) String() string {
	switch p {
	case OnePhase:
		return "one phase"
	case NPhases:
		return "n phases"
	}
	return fmt.Sprintf("phases %d", uint8(p))
}

// Kind says what a protocol is about, or which request failed.
type Kind uint8

// Kinds of protocols (group services 9.1).
const (
	KindJoin         = Kind(gs.Join)
	KindFailureLeave = Kind(gs.FailureLeave) // providers died, or said goodbye
	KindLeave        = Kind(gs.Leave)
	KindExpel        = Kind(gs.Expel)
	KindState        = Kind(gs.StateValueChange)
	KindMessage      = Kind(gs.ProviderMessage)
	KindCastOut      = Kind(gs.CastOut)               // their node has no provider of the source group any more
	KindReflection   = Kind(gs.SourceStateReflection) // the state value of the source group changed
	KindSubscription = Kind(gs.SubscriptionRequest)   // of a DelayedError only
	KindAttributes   = Kind(gs.AttributeChange)
)

// String is the word that logs have for it.
func (k Kind) String() string {
	if s := gs.Kind(k).String(); s != "" && k < 16 {
		return s
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Reason says why a provider left.
type Reason uint32

// Reasons (group services 5.6).
const (
	VoluntaryLeave      = Reason(gs.VoluntaryLeave)
	ProviderFailure     = Reason(gs.ProviderFailure) // its program ended, or closed its connection
	HostFailure         = Reason(gs.HostFailure)     // its node is gone
	ProviderExpelled    = Reason(gs.ProviderExpelled)
	SourceProviderLeave = Reason(gs.SourceProviderLeave)
	SaidGoodbye         = Reason(gs.SaidGoodbye)
)

// String is the reason as words.
func (r Reason) String() string { return bitNames(uint32(r), reasonNames) }

var reasonNames = []string{"voluntary leave", "provider failure", "host failure", "expelled", "source provider left", "goodbye"}

// Summary says how a protocol ended, or what an announcement is about: bits that
// may stand together (group services 10.2).
type Summary uint32

// Bits of a Summary.
const (
	ExplicitApprove             = Summary(gs.ExplicitApprove)             // by votes of all
	ExplicitReject              = Summary(gs.ExplicitReject)              // by a vote
	DefaultApprove              = Summary(gs.DefaultApprove)              // the default vote counted for some
	DefaultReject               = Summary(gs.DefaultReject)               // by the default vote of one
	TimeLimitExceeded           = Summary(gs.TimeLimitExceeded)           // some were late
	ProviderFailed              = Summary(gs.ProviderFailed)              // some failed
	NoResponse                  = Summary(gs.NoResponse)                  // programs do not answer checks
	Responds                    = Summary(gs.Responds)                    // they do again
	GroupDissolved              = Summary(gs.GroupDissolved)              // a merge was lost
	DeactivateUnsuccessful      = Summary(gs.DeactivateUnsuccessful)      // a deactivate script failed
	DeactivateTimeLimitExceeded = Summary(gs.DeactivateTimeLimitExceeded) // a deactivate script was late
)

// String has the names of the bits with | between.
func (s Summary) String() string { return bitNames(uint32(s), summaryNames) }

var summaryNames = []string{"explicit approve", "explicit reject", "default approve", "default reject", "time limit exceeded", "provider failed",
	"no response", "responds", "group dissolved", "", "deactivate unsuccessful", "deactivate time limit exceeded"}

// Changes says what a notification is about, in bits that may stand together
// (group services 10.1): proposed in the first phase, ongoing in later ones, then
// updated or rejected.
type Changes uint32

// Bits of Changes.
const (
	ProposedMembership     = Changes(gs.ProposedMembership)
	OngoingMembership      = Changes(gs.OngoingMembership)
	UpdatedMembership      = Changes(gs.UpdatedMembership)
	RejectedMembership     = Changes(gs.RejectedMembership)
	ProposedState          = Changes(gs.ProposedState)
	OngoingState           = Changes(gs.OngoingState)
	UpdatedState           = Changes(gs.UpdatedState)
	RejectedState          = Changes(gs.RejectedState)
	UpdatedProviderMessage = Changes(gs.UpdatedProviderMessage)
	ReflectedSourceState   = Changes(gs.ReflectedSourceState)
	ProposedAttributes     = Changes(gs.ProposedAttributes)
	OngoingAttributes      = Changes(gs.OngoingAttributes)
	UpdatedAttributes      = Changes(gs.UpdatedAttributes)
	RejectedAttributes     = Changes(gs.RejectedAttributes)
	ExpelInformation       = Changes(gs.ExpelInformation)
)

// String has the names of the bits with | between.
func (c Changes) String() string { return bitNames(uint32(c), changeNames) }

var changeNames = []string{"proposed membership", "ongoing membership", "updated membership", "rejected membership",
	"proposed state", "ongoing state", "updated state", "rejected state", "provider message", "reflected source state",
	"proposed attributes", "ongoing attributes", "updated attributes", "rejected attributes", "expel information"}

// Batch says what may be decided in one protocol: bits that may stand together.
type Batch uint32

// Bits of Batch.
const (
	BatchJoins          = Batch(gs.BatchJoins)          // all joins that wait
	BatchLeaves         = Batch(gs.BatchLeaves)         // all failures and cast-outs that wait
	BatchBoth           = BatchJoins | BatchLeaves      //
	DeactivateOnFailure = Batch(gs.DeactivateOnFailure) // the scripts of programs that died are run
)

// String has the names of the bits with | between.
func (b Batch) String() string { return bitNames(uint32(b), batchNames) }

var batchNames = []string{"joins", "leaves", "", "", "deactivate on failure"}

// Wants says what a subscriber is told of: bits that may stand together.
type Wants uint32

// Bits of Wants.
const (
	WantState       = Wants(gs.WantState)       // state values, first the one that holds
	WantDeltaJoins  = Wants(gs.WantDeltaJoins)  // who came
	WantDeltaLeaves = Wants(gs.WantDeltaLeaves) // who left
	WantMembership  = Wants(gs.WantMembership)  // all members, first those that are there
	WantAll         = WantState | WantDeltaJoins | WantDeltaLeaves | WantMembership
)

// String has the names of the bits with | between.
func (w Wants) String() string { return bitNames(uint32(w), wantNames) }

var wantNames = []string{"state", "delta joins", "delta leaves", "membership"}

// bitNames joins the names of the bits of v.
func bitNames(v uint32, names []string) string {
	var set []string
	for i := range 32 {
		switch {
		case v&(1<<i) == 0:
		case i < len(names) && names[i] != "":
			set = append(set, names[i])
		default:
			set = append(set, fmt.Sprintf("%#x", uint32(1)<<i))
		}
	}
	if set == nil {
		return "none"
	}
	return strings.Join(set, "|")
}

// Attributes are what the providers of a group agree on (group services 4.3): the
// first one decides, the others must have the same. The zero value is a group whose
// members come and go without a vote, and whose default vote rejects.
type Attributes struct {
	// Version is a number of the application's own.
	Version uint32
	// Phases of joins, failure leaves and cast-outs; zero: OnePhase.
	Phases Phases
	// Batch says what may be decided together.
	Batch Batch
	// DefaultVote counts for voters that fail or are late; zero: Reject.
	DefaultVote Vote
	// TimeLimit is how long a phase of joins, failure leaves and cast-outs waits for
	// votes, in whole seconds; zero: for ever.
	TimeLimit time.Duration
	// Source is a group of which a provider must be on the same node; empty: none.
	Source string
	// ReflectPhases and ReflectLimit are Phases and TimeLimit of the protocols that
	// tell of the source group's state value. Without Source they do not count.
	ReflectPhases Phases
	ReflectLimit  time.Duration
}

// wire is the form that the service knows. What it cannot say is a mistake.
func (a Attributes) wire() (gs.Attributes, error) {
	w := gs.Attributes{ClientVersion: a.Version, Batch: uint32(a.Batch), Phases: uint8(a.Phases), ReflectPhases: uint8(a.ReflectPhases),
		DefaultVote: gs.Vote(a.DefaultVote), Source: a.Source}
	if a.Phases == 0 {
		w.Phases = gs.OnePhase
	}
	if a.ReflectPhases == 0 {
		w.ReflectPhases = gs.OnePhase
	}
	if a.DefaultVote == 0 {
		w.DefaultVote = gs.Reject
	}
	var err error
	if w.TimeLimit, err = seconds(a.TimeLimit); err != nil {
		return w, BadGroupAttributes.because("TimeLimit: " + err.Error())
	}
	if w.ReflectLimit, err = seconds(a.ReflectLimit); err != nil {
		return w, BadGroupAttributes.because("ReflectLimit: " + err.Error())
	}
	switch {
	case a.Phases > NPhases || a.ReflectPhases > NPhases:
		return w, BadGroupAttributes.because("Phases must be OnePhase or NPhases")
	case w.DefaultVote != gs.Approve && w.DefaultVote != gs.Reject:
		return w, BadGroupAttributes.because(fmt.Sprintf("DefaultVote %v: it can be Approve or Reject", a.DefaultVote))
	case len(a.Source) > MaxName:
		return w, NameTooLong.because(fmt.Sprintf("the name of the source group has %d bytes, %d are possible", len(a.Source), MaxName))
	}
	return w, nil
}

func attributes(w *gs.Attributes) *Attributes {
	if w == nil {
		return nil
	}
	return &Attributes{Version: w.ClientVersion, Phases: Phases(w.Phases), Batch: Batch(w.Batch), DefaultVote: Vote(w.DefaultVote),
		TimeLimit: time.Duration(w.TimeLimit) * time.Second, Source: w.Source,
		ReflectPhases: Phases(w.ReflectPhases), ReflectLimit: time.Duration(w.ReflectLimit) * time.Second}
}

// seconds is a time limit as the service counts it.
func seconds(d time.Duration) (int32, error) {
	s := d / time.Second
	if d < 0 || d%time.Second != 0 || s > 1<<31-1 {
		return 0, fmt.Errorf("%v is no number of whole seconds from 0 to %d", d, 1<<31-1)
	}
	return int32(s), nil
}
