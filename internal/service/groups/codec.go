package groups

import (
	"net/netip"

	"github.com/moothall/moothall/internal/service/body"
)

// Strings have their length in four bytes in front, lists their count
// (group services C.9).

// appendOpt appends a byte string that may be absent.
func appendOpt(b, s []byte) []byte {
	if s == nil {
		return append(b, 0)
	}
	return body.AppendText(append(b, 1), s)
}

// takeOpt is nil if and only if the string is absent.
func takeOpt(r *body.Reader, limit int) []byte {
	if !r.Bool() {
		return nil
	}
	if s := r.Text(limit); s != nil {
		return s
	}
	return []byte{}
}

const providerSize = 4

func appendProvider(b []byte, p Provider) []byte {
	return body.AppendU16(body.AppendU16(b, uint16(p.Instance)), uint16(p.Node))
}

func takeProvider(r *body.Reader) Provider {
	return Provider{Instance: int16(r.U16()), Node: int16(r.U16())}
}

func appendProviders(b []byte, list []Provider) []byte {
	b = body.AppendU32(b, uint32(len(list)))
	for _, p := range list {
		b = appendProvider(b, p)
	}
	return b
}

// takeProviders takes a list; an empty one is nil.
func takeProviders(r *body.Reader) []Provider {
	n := r.Count(providerSize)
	if n == 0 {
		return nil
	}
	list := make([]Provider, n)
	for i := range list {
		list[i] = takeProvider(r)
	}
	return list
}

func appendAttributes(b []byte, a *Attributes) []byte {
	b = body.AppendU32(body.AppendU32(b, a.ClientVersion), a.Batch)
	b = append(b, a.Phases, a.ReflectPhases, byte(a.DefaultVote))
	b = body.AppendU32(body.AppendU32(b, uint32(a.TimeLimit)), uint32(a.ReflectLimit))
	return body.AppendText(b, a.Source)
}

// takeAttributes takes a block, valid or not. A name that is too long stays so.
func takeAttributes(r *body.Reader) Attributes {
	return Attributes{ClientVersion: r.U32(), Batch: r.U32(), Phases: r.U8(), ReflectPhases: r.U8(), DefaultVote: Vote(r.U8()),
		TimeLimit: int32(r.U32()), ReflectLimit: int32(r.U32()), Source: string(r.Text(4 * MaxName))}
}

// appendOptAttributes appends a block that may be absent.
func appendOptAttributes(b []byte, a *Attributes) []byte {
	b = body.AppendBool(b, a != nil)
	if a != nil {
		b = appendAttributes(b, a)
	}
	return b
}

func takeOptAttributes(r *body.Reader) *Attributes {
	if !r.Bool() {
		return nil
	}
	a := takeAttributes(r)
	return &a
}

func takeVote(r *body.Reader) Vote {
	v := Vote(r.U8())
	if v > Reject {
		r.Fail("vote")
	}
	return v
}

const addrSize = 16

func appendAddr(b []byte, a netip.Addr) []byte {
	v := a.As16()
	return append(b, v[:]...)
}

// takeAddr takes an address; one without a meaning is 0.0.0.0 or ::.
func takeAddr(r *body.Reader) netip.Addr {
	var v [addrSize]byte
	copy(v[:], r.Bytes(addrSize))
	return netip.AddrFrom16(v).Unmap()
}
