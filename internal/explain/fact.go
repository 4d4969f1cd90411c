package explain

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/moothall/moothall/internal/proto"
)

// Names of the house, for short.
type (
	NodeID = proto.NodeID
	RingID = proto.RingID
	Tick   = proto.Tick
)

// Kind is what a Fact says.
type Kind uint8

// Times are in milliseconds where nothing else is said.
const (
	Farewell  Kind = iota + 1 // the subject said that it leaves
	Refused                   // the kernel at the subject's address refuses the port: A silence, B since when, zero: not known
	Silence                   // nothing comes from the subject on Link: A for how long, B the limit, C RTT in µs, D loss in 1/1000
	Heard                     // the subject is heard on Link: fields as for Silence
	Deafness                  // the subject is heard on Link and does not hear the witness: fields as for Silence
	NewStart                  // the subject has a later start than the witness was in a ring with
	NotTaking                 // the subject does not take what the ring sends: A for how long, zero if the ring was left for it
	SelfDeaf                  // the witness does not get what the ring sends
	LeftOut                   // the subject was not taken into the new ring: A is the engine's reason
	TokenLost                 // the token did not come to the witness: A since when
	SmallOnly                 // to the subject, on Link, packets above A bytes do not get through, B is what was tried; equal: they do again
	Mismatch                  // what comes from the subject's address cannot be opened: A is a Misfit
	Twice                     // two machines use the subject's id
	Gaps                      // the subject, who says it, was not run: A times, B the longest, C in all, D looked back over
	NobodyIn                  // the subject, who says it, ran and heard nobody: A for how long
	NetError                  // the subject, who says it, could not send on Link: A is a NetFault, B how often
	Lost                      // the kernel of the subject, who says it, dropped A packets for want of room
	Fresh                     // the subject, who says it, was not with any of those it meets since its start: A up for so long
	Away                      // the subject was away: A is a Code, B for how long, C its silence before
	KeptOut                   // the ring keeps the subject out: A for how long, B is a Fence
	Elsewhere                 // the subject's authentic packets come, on Link, from an address that the witness's file does not have for it: A to D are that address
	Alive                     // the subject, who was missed, is heard in the same life A later
	numKinds
)

// Misfit is why datagrams of a node cannot be opened or are not listened to.
type Misfit uint32

const (
	OtherKey Misfit = iota + 1
	OtherCluster
	OtherVersion
	OtherNodes // the lists of nodes differ
	OtherWay   // anything else: the agent's log says it
	numMisfits
)

// NetFault is why datagrams do not leave a machine.
type NetFault uint32

const (
	NoRoute   NetFault = iota + 1 // no route, or the network is down
	NoDevice                      // the interface is gone or down
	NoAddress                     // the own address is not on the machine
	Forbidden                     // a local firewall rule
	numFaults
)

// Fence is why a ring keeps a node out.
type Fence uint32

const (
	FenceHalf  Fence = iota + 1 // it does not reach all members, or not all reach it
	FenceDeaf                   // it does not receive what the ring sends
	FenceFlaps                  // the ring broke on its account again and again
)

// Fact is one observation, of the member whose testimony it stands in.
type Fact struct {
	Subject    NodeID // zero: nobody in particular
	Kind       Kind
	Link       uint8
	A, B, C, D uint32
}

// From is the fact that a node's packets come from elsewhere.
func From(n NodeID, link uint8, a netip.Addr) Fact {
	b, be := a.As16(), binary.BigEndian
	return Fact{Subject: n, Kind: Elsewhere, Link: link, A: be.Uint32(b[:]), B: be.Uint32(b[4:]), C: be.Uint32(b[8:]), D: be.Uint32(b[12:])}
}

// addr is the address of a fact Elsewhere.
func (f Fact) addr() netip.Addr {
	var b [16]byte
	for i, v := range []uint32{f.A, f.B, f.C, f.D} {
		binary.BigEndian.PutUint32(b[4*i:], v)
	}
	return netip.AddrFrom16(b).Unmap()
}

// Millis is a duration as facts carry it.
func Millis(t Tick) uint32 { return uint32(min(max(t, 0)/proto.Millisecond, 1<<32-1)) }

// Names says what people call a node.
type Names func(NodeID) string

// list is "alpha, beta and gamma".
func (n Names) list(ids []NodeID) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = n(id)
	}
	switch k := len(words); k {
	case 0:
		return "nobody"
	case 1:
		return words[0]
	default:
		return strings.Join(words[:k-1], ", ") + " and " + words[k-1]
	}
}

// span is a duration in milliseconds as people say it.
func span(ms uint32) string {
	switch {
	case ms < 1000:
		return fmt.Sprintf("%d ms", ms)
	case ms < 120_000:
		return fmt.Sprintf("%.1f s", float64(ms)/1000)
	}
	return fmt.Sprintf("%d min", ms/60_000)
}

// text is the fact in words, as seen by a witness.
func (f Fact) text(names Names, witness NodeID) string {
	me, who := names(witness), ""
	if f.Subject != 0 {
		who = names(f.Subject)
	}
	measured := func() string {
		s := ""
		if f.C > 0 {
			s += fmt.Sprintf(", round trip %.2f ms", float64(f.C)/1000)
		}
		if f.D > 0 {
			s += fmt.Sprintf(", %.1f %% of its pings lost", float64(f.D)/10)
		}
		return s
	}
	switch f.Kind {
	case Farewell:
		return fmt.Sprintf("%s got the farewell of %s", me, who)
	case Refused:
		return fmt.Sprintf("%s sent to %s on link %d and its kernel refused the port; last heard %s ago", me, who, f.Link, span(f.A))
	case Silence:
		return fmt.Sprintf("%s heard %s last %s ago on link %d, the limit is %s%s", me, who, span(f.A), f.Link, span(f.B), measured())
	case Heard:
		return fmt.Sprintf("%s hears %s on link %d, last %s ago%s", me, who, f.Link, span(f.A), measured())
	case Deafness:
		return fmt.Sprintf("%s hears %s on link %d, last %s ago, but gets no answer from it%s", me, who, f.Link, span(f.A), measured())
	case NewStart:
		return fmt.Sprintf("%s saw a later start of %s", me, who)
	case NotTaking:
		if f.A == 0 {
			return fmt.Sprintf("%s gave up on %s, which does not take what the ring sends", me, who)
		}
		return fmt.Sprintf("%s saw %s hold the ring up for %s", me, who, span(f.A))
	case SelfDeaf:
		return fmt.Sprintf("%s does not get what the ring sends", me)
	case LeftOut:
		return fmt.Sprintf("%s left %s out of the new ring", me, who)
	case TokenLost:
		return fmt.Sprintf("%s saw the token last %s ago", me, span(f.A))
	case SmallOnly:
		return fmt.Sprintf("%s gets answers from %s on link %d to datagrams of up to %d bytes and to none of %d", me, who, f.Link, f.A, f.B)
	case Mismatch:
		return fmt.Sprintf("%s got packets from the address of %s that it could not open: %s", me, who, Misfit(f.A))
	case Twice:
		return fmt.Sprintf("%s saw two machines with the id of %s", me, who)
	case Gaps:
		return fmt.Sprintf("%s says that it was kept from running %s, for %s at most and %s in all", me, times(f.A), span(f.B), span(f.C))
	case NobodyIn:
		return fmt.Sprintf("%s says that it ran and heard nobody for %s", me, span(f.A))
	case NetError:
		return fmt.Sprintf("%s says that it could not send on link %d, %s: %s", me, f.Link, times(f.B), NetFault(f.A))
	case Lost:
		return fmt.Sprintf("%s says that its kernel dropped %d packets for want of room", me, f.A)
	case Fresh:
		return fmt.Sprintf("%s says that it was started %s ago", me, span(f.A))
	case KeptOut:
		return fmt.Sprintf("%s keeps %s out for %s: %s", me, who, span(f.A), Fence(f.B))
	case Elsewhere:
		return fmt.Sprintf("%s gets the packets of %s on link %d from %v; the file of %s has another address for it", me, who, f.Link, f.addr(), me)
	case Alive:
		return fmt.Sprintf("%s hears %s, which goes on as before, %s after it was missed", me, who, span(f.A))
	case Away:
		return fmt.Sprintf("%s missed %s for %s: %s", me, who, span(f.B), Code(f.A))
	}
	return fmt.Sprintf("%s says something that this version does not know", me)
}

func times(n uint32) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// String is the misfit as a clause.
func (m Misfit) String() string {
	switch m {
	case OtherKey:
		return "they were sealed with another key"
	case OtherCluster:
		return "they were of another cluster name"
	case OtherVersion:
		return "they were of a protocol version without a common one"
	case OtherNodes:
		return "its list of nodes is another one"
	}
	return "its agent's log and this one's say more"
}

// String is the fence as a clause.
func (f Fence) String() string {
	switch f {
	case FenceHalf:
		return "it does not reach all members, or not all of them reach it"
	case FenceDeaf:
		return "it does not receive what the ring sends"
	case FenceFlaps:
		return "the ring broke on its account again and again"
	}
	return "no ring lasted with it"
}

// String is the fault as a clause.
func (n NetFault) String() string {
	switch n {
	case NoRoute:
		return "there is no route, or its network is down"
	case NoDevice:
		return "its interface is down or gone"
	case NoAddress:
		return "its address is not on the machine"
	case Forbidden:
		return "a firewall rule on the machine forbids it"
	}
	return "the kernel refused"
}
