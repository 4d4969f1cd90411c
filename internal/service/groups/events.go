package groups

import (
	"net/netip"

	"github.com/moothall/moothall/internal/service/body"
)

// Events, the kind of a Push (group services C.9).
const (
	EventNPhase       uint16 = 20 // Notification; a vote is expected
	EventApproved     uint16 = 21 // Notification
	EventRejected     uint16 = 22 // Notification
	EventAnnounce     uint16 = 23 // Announcement
	EventSubscription uint16 = 24 // Subscription
	EventDelayedError uint16 = 25 // DelayedError
	EventCheck        uint16 = 26 // Check; answered with CallResponse
	EventAdapters     uint16 = 27 // Adapters; for clients that wanted them, after hello and with each change
	EventFailure      uint16 = 28 // Failure; the last one, if the agent has the time
)

// LeaveInfo says why a provider left.
type LeaveInfo struct {
	Reason uint32
	Code   uint32 // of a voluntary leave
}

// Notification is one step of a protocol as one provider is told of it
// (group services 5.5). What is nil is not there.
type Notification struct {
	Token   int32
	Kind    Kind
	Seq     uint64 // of the protocol
	Summary uint32
	Limit   int32 // seconds for the vote

	Phases     uint8
	Phase      uint32
	ProposedBy Provider
	Changed    uint32
	Current    []Provider  // oldest first
	Changing   []Provider  // joiners or leavers
	Leaves     []LeaveInfo // one for each that leaves
	Deactivate uint32      // phase of an expel
	Flag       []byte      // of an expel
	State      []byte
	Proposed   []byte
	Source     []byte // state of the source group
	Message    []byte
	Attrs      *Attributes
}

// Announcement tells providers of what is no protocol.
type Announcement struct {
	Token   int32
	Summary uint32
	List    []Provider
	Ends    bool // the token is free after it
}

// Subscription tells a subscriber of a change.
type Subscription struct {
	Token    int32
	Has      uint32
	State    []byte     // with GotState
	Full     []Provider // with GotMembership
	Changing []Provider // with GotDeltaJoin or GotDeltaLeave
	Special  []Special  // with GotSpecial
	Ends     bool
}

// Special is a block of data on the adapters of an adapter group (group services
// 13.5): entries of one size, one for each adapter of a list.
type Special struct {
	Flag uint32 // AdapterDeath and so on
	Size uint32 // bytes of an entry
	Data []byte // whole entries
}

// Adapters are the adapters of all nodes.
type Adapters struct{ List []AdapterAddr }

// AdapterAddr is one adapter.
type AdapterAddr struct {
	Addr      netip.Addr // an IPv4 one is sent mapped into IPv6
	Node      int16
	Interface string
}

// DelayedError tells that a request failed after it was accepted.
type DelayedError struct {
	Token  int32
	Kind   Kind // of the request
	Code   Code
	Serial uint64     // of the request: its number at the door
	List   []Provider // that are in the way
	Ends   bool
}

// Check asks a client whether it still works.
type Check struct{ Number uint32 }

// Failure names the record of why the agent ended by itself (group services C.9,
// "FFDC").
type Failure struct{ Record string }

// AppendTo appends a failure.
func (f Failure) AppendTo(b []byte) []byte { return body.AppendText(b, f.Record) }

// ParseFailure reads a failure.
func ParseFailure(b []byte) (Failure, error) {
	r := body.NewReader(b)
	f := Failure{string(r.Text(MaxRecord))}
	return f, r.Close()
}

// AppendTo appends a notification.
func (n Notification) AppendTo(b []byte) []byte {
	b = body.AppendU64(append(body.AppendU32(b, uint32(n.Token)), byte(n.Kind)), n.Seq)
	b = body.AppendU32(body.AppendU32(b, n.Summary), uint32(n.Limit))
	b = appendProvider(body.AppendU32(append(b, n.Phases), n.Phase), n.ProposedBy)
	b = appendProviders(appendProviders(body.AppendU32(b, n.Changed), n.Current), n.Changing)
	b = body.AppendU32(b, uint32(len(n.Leaves)))
	for _, l := range n.Leaves {
		b = body.AppendU32(body.AppendU32(b, l.Reason), l.Code)
	}
	b = appendOpt(body.AppendU32(b, n.Deactivate), n.Flag)
	b = appendOpt(appendOpt(body.AppendText(b, n.State), n.Proposed), n.Source)
	return appendOptAttributes(appendOpt(b, n.Message), n.Attrs)
}

// ParseNotification reads a notification; byte strings are views.
func ParseNotification(b []byte) (Notification, error) {
	r := body.NewReader(b)
	n := Notification{Token: int32(r.U32()), Kind: Kind(r.U8()), Seq: r.U64(), Summary: r.U32(), Limit: int32(r.U32()),
		Phases: r.U8(), Phase: r.U32(), ProposedBy: takeProvider(&r), Changed: r.U32(), Current: takeProviders(&r), Changing: takeProviders(&r)}
	for range r.Count(8) {
		n.Leaves = append(n.Leaves, LeaveInfo{r.U32(), r.U32()})
	}
	n.Deactivate, n.Flag = r.U32(), takeOpt(&r, MaxFlag)
	n.State, n.Proposed, n.Source = r.Text(MaxState), takeOpt(&r, MaxState), takeOpt(&r, MaxState)
	n.Message, n.Attrs = takeOpt(&r, MaxMessage), takeOptAttributes(&r)
	return n, r.Close()
}

// AppendTo appends an announcement.
func (a Announcement) AppendTo(b []byte) []byte {
	b = body.AppendU32(body.AppendU32(b, uint32(a.Token)), a.Summary)
	return body.AppendBool(appendProviders(b, a.List), a.Ends)
}

// ParseAnnouncement reads an announcement.
func ParseAnnouncement(b []byte) (Announcement, error) {
	r := body.NewReader(b)
	a := Announcement{int32(r.U32()), r.U32(), takeProviders(&r), r.Bool()}
	return a, r.Close()
}

// AppendTo appends a subscription event.
func (s Subscription) AppendTo(b []byte) []byte {
	b = appendOpt(body.AppendU32(body.AppendU32(b, uint32(s.Token)), s.Has), s.State)
	b = appendProviders(appendProviders(b, s.Full), s.Changing)
	b = body.AppendU32(b, uint32(len(s.Special)))
	for _, x := range s.Special {
		b = body.AppendText(body.AppendU32(body.AppendU32(b, x.Flag), x.Size), x.Data)
	}
	return body.AppendBool(b, s.Ends)
}

// ParseSubscription reads a subscription event; byte strings are views.
func ParseSubscription(b []byte) (Subscription, error) {
	r := body.NewReader(b)
	s := Subscription{Token: int32(r.U32()), Has: r.U32(), State: takeOpt(&r, MaxState), Full: takeProviders(&r), Changing: takeProviders(&r)}
	for range r.Count(12) {
		x := Special{Flag: r.U32(), Size: r.U32(), Data: r.Text(len(b))}
		if x.Size == 0 || len(x.Data)%int(x.Size) != 0 {
			r.Fail("special data")
		}
		s.Special = append(s.Special, x)
	}
	s.Ends = r.Bool()
	return s, r.Close()
}

// AppendTo appends the table of adapters.
func (a Adapters) AppendTo(b []byte) []byte {
	b = body.AppendU32(b, uint32(len(a.List)))
	for _, x := range a.List {
		b = body.AppendText(body.AppendU16(appendAddr(b, x.Addr), uint16(x.Node)), x.Interface)
	}
	return b
}

// ParseAdapters reads the table of adapters.
func ParseAdapters(b []byte) (Adapters, error) {
	r := body.NewReader(b)
	var a Adapters
	for range r.Count(addrSize + 2 + 4) {
		a.List = append(a.List, AdapterAddr{takeAddr(&r), int16(r.U16()), string(r.Text(MaxInterface))})
	}
	return a, r.Close()
}

// AppendTo appends a delayed error.
func (e DelayedError) AppendTo(b []byte) []byte {
	b = body.AppendU16(append(body.AppendU32(b, uint32(e.Token)), byte(e.Kind)), uint16(e.Code))
	return body.AppendBool(appendProviders(body.AppendU64(b, e.Serial), e.List), e.Ends)
}

// ParseDelayedError reads a delayed error.
func ParseDelayedError(b []byte) (DelayedError, error) {
	r := body.NewReader(b)
	e := DelayedError{int32(r.U32()), Kind(r.U8()), Code(r.U16()), r.U64(), takeProviders(&r), r.Bool()}
	return e, r.Close()
}

// AppendTo appends a check.
func (c Check) AppendTo(b []byte) []byte { return body.AppendU32(b, c.Number) }

// ParseCheck reads a check.
func ParseCheck(b []byte) (Check, error) {
	r := body.NewReader(b)
	c := Check{r.U32()}
	return c, r.Close()
}
