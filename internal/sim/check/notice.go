package check

import (
	"fmt"
	"slices"
	"strings"
)

// Provider is one provider of Group Services.
type Provider struct{ Instance, Node int16 }

// String is the provider as operators write it.
func (p Provider) String() string { return fmt.Sprintf("%d/%d", p.Instance, p.Node) }

// Opt is a byte string that may be absent.
type Opt struct {
	Has bool
	V   string
}

// Some is a byte string that is there.
func Some(v string) Opt { return Opt{true, v} }

// GroupAttributes are the attributes of a group (group services 4.3).
type GroupAttributes struct {
	Version       uint32
	Batch         uint32
	Phases        uint8
	ReflectPhases uint8
	Default       uint8
	Limit         int32
	ReflectLimit  int32
	Source        string
}

// The numbers of the C header that the rules need (group services 5 and 10).
const (
	kindJoin        uint8 = 1
	kindFailure     uint8 = 2
	kindLeave       uint8 = 3
	kindExpel       uint8 = 4
	kindState       uint8 = 5
	kindMessage     uint8 = 6
	kindCastOut     uint8 = 7
	kindReflection  uint8 = 8
	kindSubscribe   uint8 = 10
	kindAttributes  uint8 = 11
	voteApprove     uint8 = 1
	voteContinue    uint8 = 2
	voteReject      uint8 = 3
	onePhase        uint8 = 1
	batchedJoins          = 0x01
	batchedLeaves         = 0x02
	scriptOnFailure       = 0x10

	codeNotOK          uint16 = 1
	codeUnknownGroup   uint16 = 10
	codeNoSource       uint16 = 12
	codeBadAttributes  uint16 = 13
	codeDuplicate      uint16 = 15
	codeCollide        uint16 = 16
	codeBadSource      uint16 = 22
	codeUnknownTarget  uint16 = 23
	leftVoluntary      uint32 = 0x01
	leftFailed         uint32 = 0x02
	leftWithHost       uint32 = 0x04
	leftExpelled       uint32 = 0x08
	leftSource         uint32 = 0x10
	leftGoodbye        uint32 = 0x20
	explicitApprove    uint32 = 0x0001
	explicitReject     uint32 = 0x0002
	defaultApprove     uint32 = 0x0004
	defaultReject      uint32 = 0x0008
	timeLimitExceeded  uint32 = 0x0010
	providerFailed     uint32 = 0x0020
	noResponse         uint32 = 0x0040
	responds           uint32 = 0x0080
	groupDissolved     uint32 = 0x0100
	scriptUnsuccessful uint32 = 0x0400

	changedMembership uint32 = 0x00001 // proposed; ongoing, updated and rejected are the next bits
	changedState      uint32 = 0x00010
	changedMessage    uint32 = 0x00100
	changedSource     uint32 = 0x00200
	changedAttributes uint32 = 0x00400
	changedExpel      uint32 = 0x04000

	wantState      uint32 = 0x01
	wantJoins      uint32 = 0x02
	wantLeaves     uint32 = 0x04
	wantMembership uint32 = 0x08
	wantDissolved  uint32 = 0x80
	hostMembership        = "HostMembership"
)

// NoticeKind is what a client of Group Services is told.
type NoticeKind uint8

const (
	NoticePhase     NoticeKind = iota + 1 // a phase begins, a vote is expected
	NoticeApproved                        // the protocol ended
	NoticeRejected                        // likewise
	NoticeAnnounced                       // something that is no protocol
	NoticeSeen                            // to a subscriber
	NoticeError                           // a request failed after it was accepted
)

var noticeNames = [...]string{"", "phase", "approved", "rejected", "announced", "seen", "error"}

// String is the word used in trace files.
func (k NoticeKind) String() string { return noticeNames[int(k)%len(noticeNames)] }

// Notice is one event that a client of Group Services got. Which fields count
// depends on the kind; all others are zero.
type Notice struct {
	Kind     NoticeKind
	Token    int32
	Protocol uint8 // type of the protocol, or of the request that failed
	Seq      uint64
	Summary  uint32
	Limit    int32
	Phases   uint8
	Phase    uint32
	By       Provider
	Changed  uint32 // or what a subscriber gets
	Current  []Provider
	Changing []Provider
	Leaves   [][2]uint32 // reason and code
	Script   uint32      // phase in which scripts run
	Flag     Opt
	State    Opt
	Proposed Opt
	Source   Opt
	Message  Opt
	Attrs    *GroupAttributes
	Code     uint16
	Serial   uint64
	Ends     bool // it says that the token is free
}

func (n *Notice) equal(o *Notice) bool {
	attrs := n.Attrs == nil && o.Attrs == nil || n.Attrs != nil && o.Attrs != nil && *n.Attrs == *o.Attrs
	return attrs && n.Kind == o.Kind && n.Token == o.Token && n.Protocol == o.Protocol && n.Seq == o.Seq && n.Summary == o.Summary &&
		n.Limit == o.Limit && n.Phases == o.Phases && n.Phase == o.Phase && n.By == o.By && n.Changed == o.Changed &&
		slices.Equal(n.Current, o.Current) && slices.Equal(n.Changing, o.Changing) && slices.Equal(n.Leaves, o.Leaves) &&
		n.Script == o.Script && n.Flag == o.Flag && n.State == o.State && n.Proposed == o.Proposed && n.Source == o.Source &&
		n.Message == o.Message && n.Code == o.Code && n.Serial == o.Serial && n.Ends == o.Ends
}

// String is the notice in one line.
func (n *Notice) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v token %d", n.Kind, n.Token)
	put := func(name string, there bool, v any) {
		if there {
			fmt.Fprintf(&b, " %s %v", name, v)
		}
	}
	opt := func(name string, o Opt) {
		if o.Has {
			fmt.Fprintf(&b, " %s %q", name, o.V)
		}
	}
	put("protocol", n.Protocol != 0, n.Protocol)
	put("seq", n.Seq != 0, n.Seq)
	put("phase", n.Phases != 0, fmt.Sprintf("%d/%d", n.Phase, n.Phases))
	put("limit", n.Limit != 0, n.Limit)
	put("by", n.By != Provider{}, n.By)
	put("summary", n.Summary != 0, fmt.Sprintf("%#x", n.Summary))
	put("changed", n.Changed != 0, fmt.Sprintf("%#x", n.Changed))
	put("current", n.Current != nil, n.Current)
	put("changing", n.Changing != nil, n.Changing)
	put("leaves", n.Leaves != nil, n.Leaves)
	put("script", n.Script != 0, n.Script)
	opt("flag", n.Flag)
	opt("state", n.State)
	opt("proposed", n.Proposed)
	opt("source", n.Source)
	opt("message", n.Message)
	if n.Attrs != nil {
		fmt.Fprintf(&b, " attributes %v", *n.Attrs)
	}
	put("code", n.Code != 0, n.Code)
	put("serial", n.Serial != 0, n.Serial)
	put("ends", n.Ends, "")
	return b.String()
}
