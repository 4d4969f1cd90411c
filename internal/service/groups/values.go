package groups

import (
	"cmp"

	"github.com/moothall/moothall/internal/proto"
)

// ID is the service's number.
const ID = 11

// Limits (group services 17).
const (
	MaxName      = 32   // bytes of a group's name, and of a provider's local name
	MaxState     = 256  // bytes of a state value
	MaxMessage   = 2048 // bytes of a provider's message
	MaxFlag      = 256  // bytes of a deactivate flag
	MaxScript    = 4096 // bytes of a script's path
	MaxProviders = 4096 // in a group
	MaxGroups    = 1024
	MaxTokens    = 256     // of a client
	MaxClients   = 512     // of a node
	MaxWaiting   = 1 << 20 // bytes of events that wait for a client
	MaxInterface = 64      // bytes of an interface's name
	MaxRecord    = 42      // bytes of the name of a failure record
	MaxNetworks  = 8
	maxNode      = 32767
)

// Subsystem is the flavour of clients that name none.
const Subsystem = "cthags"

// Level is the level of this service's clients (group services 19).
const Level = 1

// Code is the outcome of a request (group services 5.3).
type Code uint16

// Codes that this service gives; the numbers are those of the C header.
const (
	OK                      Code = 0
	NotOK                   Code = 1
	NameTooLong             Code = 4
	NoMemory                Code = 5
	NotAMember              Code = 6
	BadMemberToken          Code = 8
	BadParameter            Code = 9
	UnknownGroup            Code = 10
	InvalidGroup            Code = 11
	NoSourceGroupProvider   Code = 12
	BadGroupAttributes      Code = 13
	DuplicateInstanceNumber Code = 15
	Collide                 Code = 16
	ConnectFailed           Code = 19
	VoteNotExpected         Code = 20
	InvalidSourceGroup      Code = 22
	UnknownProvider         Code = 23
	InvalidDeactivatePhase  Code = 24
	ProviderAppearsTwice    Code = 25
	BacklevelProviders      Code = 26
)

// Kind is the type of a protocol, or of the request that failed.
type Kind uint8

// Kinds, with the values of the C header.
const (
	Join                  Kind = 1
	FailureLeave          Kind = 2
	Leave                 Kind = 3
	Expel                 Kind = 4
	StateValueChange      Kind = 5
	ProviderMessage       Kind = 6
	CastOut               Kind = 7
	SourceStateReflection Kind = 8
	SubscriptionRequest   Kind = 10
	AttributeChange       Kind = 11
)

// String is the word used in logs and dumps.
func (k Kind) String() string {
	return [16]string{Join: "join", FailureLeave: "failure-leave", Leave: "leave", Expel: "expel", StateValueChange: "state",
		ProviderMessage: "message", CastOut: "cast-out", SourceStateReflection: "reflection", SubscriptionRequest: "subscription",
		AttributeChange: "attributes"}[k&15]
}

// proposable reports whether providers propose such protocols.
func (k Kind) proposable() bool {
	return k == Leave || k == Expel || k == StateValueChange || k == ProviderMessage || k == AttributeChange
}

// Vote is a voter's answer to one phase.
type Vote uint8

// Votes, with the values of the C header.
const (
	NullVote Vote = iota
	Approve
	Continue
	Reject
)

// String is the word used in documents; NullVote is empty.
func (v Vote) String() string { return [4]string{"", "approve", "continue", "reject"}[v&3] }

// Phases of a protocol.
const (
	OnePhase uint8 = 1
	NPhase   uint8 = 2
)

// Reasons why a provider left (group services 5.6).
const (
	VoluntaryLeave      uint32 = 0x01
	ProviderFailure     uint32 = 0x02
	HostFailure         uint32 = 0x04
	ProviderExpelled    uint32 = 0x08
	SourceProviderLeave uint32 = 0x10
	SaidGoodbye         uint32 = 0x20
)

// Batch control bits of a group.
const (
	BatchJoins          uint32 = 0x01
	BatchLeaves         uint32 = 0x02
	DeactivateOnFailure uint32 = 0x10
	batchBits                  = BatchJoins | BatchLeaves | DeactivateOnFailure
)

// What a subscriber wants.
const (
	WantState       uint32 = 0x01
	WantDeltaJoins  uint32 = 0x02
	WantDeltaLeaves uint32 = 0x04
	WantMembership  uint32 = 0x08
	wantBits               = 0x0f
)

// What a subscription event has.
const (
	GotState      uint32 = 0x01
	GotDeltaJoin  uint32 = 0x02
	GotDeltaLeave uint32 = 0x04
	GotMembership uint32 = 0x08
	GotSpecial    uint32 = 0x40
	GotDissolved  uint32 = 0x80
)

// Kinds of special data, and the entries of AdapterDeath, which have four bytes.
const (
	AdapterDeath   uint32 = 0x01 // how each adapter that left went
	AdapterFailed  uint32 = 0
	AdapterRemoved uint32 = 1 // from the configuration
)

// Summary bits (group services 10.2).
const (
	ExplicitApprove             uint32 = 0x0001
	ExplicitReject              uint32 = 0x0002
	DefaultApprove              uint32 = 0x0004
	DefaultReject               uint32 = 0x0008
	TimeLimitExceeded           uint32 = 0x0010
	ProviderFailed              uint32 = 0x0020
	NoResponse                  uint32 = 0x0040
	Responds                    uint32 = 0x0080
	GroupDissolved              uint32 = 0x0100
	DeactivateUnsuccessful      uint32 = 0x0400
	DeactivateTimeLimitExceeded uint32 = 0x0800
)

// What a notification says has changed (group services 10.1).
const (
	ProposedMembership     uint32 = 0x00001
	OngoingMembership      uint32 = 0x00002
	UpdatedMembership      uint32 = 0x00004
	RejectedMembership     uint32 = 0x00008
	ProposedState          uint32 = 0x00010
	OngoingState           uint32 = 0x00020
	UpdatedState           uint32 = 0x00040
	RejectedState          uint32 = 0x00080
	UpdatedProviderMessage uint32 = 0x00100
	ReflectedSourceState   uint32 = 0x00200
	ProposedAttributes     uint32 = 0x00400
	OngoingAttributes      uint32 = 0x00800
	UpdatedAttributes      uint32 = 0x01000
	RejectedAttributes     uint32 = 0x02000
	ExpelInformation       uint32 = 0x04000
)

// Ways of checking that a client still works.
const (
	NoCheck      uint8 = 0
	PingCheck    uint8 = 1
	CounterCheck uint8 = 2
)

// System groups; they can only be subscribed to.
const (
	HostMembership = "HostMembership"
	enMembership   = "enMembership"
	cssMembership  = "cssMembership"
	cssRaw         = "cssRawMembership"
)

func systemGroup(name string) bool {
	_, adapters := networkOf(name)
	return adapters || name == HostMembership || name == cssMembership || name == cssRaw
}

// reserved reports whether a name is none for groups of clients.
func reserved(name string) bool { return systemGroup(name) || name == CouncilName }

// Provider names one provider of a group.
type Provider struct{ Instance, Node int16 }

// Nobody proposes what the service starts by itself.
var Nobody = Provider{-1, -1}

func (p Provider) node() proto.NodeID { return proto.NodeID(uint16(p.Node)) }

func compareProvider(a, b Provider) int {
	return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Instance, b.Instance))
}

// Attributes are what the providers of a group agree on (group services 4.3).
// The merge control is not here: there is only one.
type Attributes struct {
	ClientVersion uint32
	Batch         uint32
	Phases        uint8 // of join, failure leave and cast-out
	ReflectPhases uint8
	DefaultVote   Vote
	TimeLimit     int32 // seconds of a phase; zero: none
	ReflectLimit  int32
	Source        string // group; empty: none
}

// valid reports whether the values are allowed, for a group of that name.
func (a *Attributes) valid() bool {
	phases := a.Phases == OnePhase || a.Phases == NPhase
	reflects := a.Source == "" || a.ReflectPhases == OnePhase || a.ReflectPhases == NPhase
	return phases && reflects && a.Batch&^batchBits == 0 && (a.DefaultVote == Approve || a.DefaultVote == Reject) &&
		a.TimeLimit >= 0 && a.ReflectLimit >= 0 && len(a.Source) <= MaxName
}

// match reports whether a joiner with b fits a group with a.
func (a *Attributes) match(b *Attributes) bool {
	if a.ClientVersion != b.ClientVersion || a.Batch != b.Batch || a.Phases != b.Phases || a.DefaultVote != b.DefaultVote ||
		a.TimeLimit != b.TimeLimit || a.Source != b.Source {
		return false
	}
	if a.Source == "" {
		return true
	}
	return a.ReflectPhases == b.ReflectPhases && (a.ReflectPhases == OnePhase || a.ReflectLimit == b.ReflectLimit)
}
