package wire

import (
	"encoding/binary"

	"github.com/moothall/moothall/internal/proto"
)

// AppendJoin writes a Join. t is the sender's node table.
func AppendJoin(b []byte, h Header, j Join, t Table) []byte {
	b = h.with(TypeJoin).Append(b)
	b = binary.LittleEndian.AppendUint32(b, j.Attempt)
	b = binary.LittleEndian.AppendUint64(b, j.RingSeq)
	b = binary.LittleEndian.AppendUint64(b, j.MaxSeen)
	b = appendMembers(b, j.Proc, t)
	b = appendSet(b, j.Fail, t)
	b = appendSet(b, j.Heard, t)
	b = appendSet(b, j.Quarantine, t)
	b = binary.LittleEndian.AppendUint64(b, j.Digest)
	return append(b, j.State, j.Reason, j.Flags)
}

// ParseJoin reads the body of a Join. t is the receiver's node table.
func ParseJoin(body []byte, t Table) (Join, error) {
	r := reader{b: body}
	j := Join{
		Attempt:    r.u32("join: attempt"),
		RingSeq:    r.u64("join: ring_seq"),
		MaxSeen:    r.u64("join: max_seen"),
		Proc:       r.members(t, "join: proc"),
		Fail:       r.set(t, "join: fail"),
		Heard:      r.set(t, "join: heard"),
		Quarantine: r.set(t, "join: quarantine"),
		Digest:     r.u64("join: digest"),
		State:      r.u8("join: state"),
		Reason:     r.u8("join: reason"),
		Flags:      r.u8("join: flags"),
	}
	if err := r.end("join"); err != nil {
		return Join{}, err
	}
	return j, nil
}

// appendMembers writes the set of ids, then the incarnations in the same order.
func appendMembers(b []byte, members []Member, t Table) []byte {
	ids := make([]proto.NodeID, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	b = appendSet(b, ids, t)
	for _, m := range members {
		b = binary.LittleEndian.AppendUint64(b, m.Inc)
	}
	return b
}

func (r *reader) members(t Table, what string) []Member {
	ids := r.set(t, what)
	if len(ids) == 0 || !r.need(8*len(ids), what) {
		return nil
	}
	members := make([]Member, len(ids))
	for i, id := range ids {
		members[i] = Member{ID: id, Inc: r.u64(what)}
	}
	return members
}
