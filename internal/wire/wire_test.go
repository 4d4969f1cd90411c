package wire

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/moothall/moothall/internal/proto"
)

// draw is the source of all values of the property tests.
type draw struct{ *rapid.T }

func (d draw) u8() uint8   { return rapid.Uint8().Draw(d.T, "u8") }
func (d draw) u16() uint16 { return rapid.Uint16().Draw(d.T, "u16") }
func (d draw) u32() uint32 { return rapid.Uint32().Draw(d.T, "u32") }
func (d draw) u64() uint64 { return rapid.Uint64().Draw(d.T, "u64") }
func (d draw) flag() bool  { return rapid.Bool().Draw(d.T, "flag") }

func (d draw) slot() proto.Slot {
	return proto.Slot(rapid.Uint64Range(0, uint64(MaxSlot)).Draw(d.T, "slot"))
}

func (d draw) node() proto.NodeID {
	return proto.NodeID(rapid.OneOf(rapid.Uint32Range(1, 64), rapid.Uint32Range(1, 1<<32-2)).Draw(d.T, "node"))
}

func (d draw) ring() proto.RingID {
	return proto.RingID{Seq: d.u64(), Rep: proto.NodeID(d.u32()), Inc: d.u32()}
}

func (d draw) header(t Type) Header {
	return Header{Type: t, Flags: d.u16(), Cluster: d.u32(), Ring: d.ring()}
}

func (d draw) nodes(limit int) []proto.NodeID {
	var ids []proto.NodeID
	for range rapid.IntRange(0, limit).Draw(d.T, "nodes") {
		ids = append(ids, d.node())
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (d draw) table() Table { return Table{Version: d.u32(), IDs: d.nodes(40)} }

// subset returns ids of the table, and now and then one that it does not know.
func (d draw) subset(t Table) []proto.NodeID {
	var ids []proto.NodeID
	for _, id := range t.IDs {
		if d.flag() {
			ids = append(ids, id)
		}
	}
	if rapid.IntRange(0, 4).Draw(d.T, "stranger") == 0 {
		ids = append(ids, d.node())
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (d draw) token() Token {
	t := Token{
		TokenSeq: d.u64(), Seq: d.slot(), Aru: d.slot(), AruOwner: proto.NodeID(d.u32()),
		Fcc: int32(d.u32()), Backlog: int32(d.u32()), Wnd: d.u32(), Stable: d.slot(),
		RtrMade: d.u32(), Flags: d.u8(), Stamp: d.u64(),
	}
	for range rapid.IntRange(0, MaxRtr).Draw(d.T, "items") {
		base := min(d.slot(), MaxSlot-64) &^ 63
		t.Rtr = append(t.Rtr, RtrItem{Base: base, Miss: d.u64(), Requester: proto.NodeID(d.u32())})
	}
	return t
}

func (d draw) data() Data {
	return Data{Slot: max(1, d.slot()), Origin: d.node(), OriginInc: d.u32(), Round: d.u32()}
}

func (d draw) piece() Piece {
	body := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(d.T, "body")
	return Piece{K: d.u64(), No: d.u64(), Flags: d.u8(), Body: body}
}

func (d draw) join(t Table) Join {
	j := Join{
		Attempt: d.u32(), RingSeq: d.u64(), MaxSeen: d.u64(), Fail: d.subset(t), Heard: d.subset(t),
		Quarantine: d.subset(t), Digest: d.u64(), State: d.u8(), Reason: d.u8(), Flags: d.u8(),
	}
	for _, id := range d.subset(t) {
		j.Proc = append(j.Proc, Member{ID: id, Inc: d.u64()})
	}
	return j
}

func (d draw) runs(aru proto.Slot) (runs []Run, high proto.Slot) {
	next := aru + 1
	for range rapid.IntRange(0, 20).Draw(d.T, "runs") {
		run := Run{
			First: next + proto.Slot(rapid.Uint32Range(0, 50).Draw(d.T, "gap")),
			Len:   rapid.Uint32Range(1, 50).Draw(d.T, "length"),
		}
		runs = append(runs, run)
		next = run.First + proto.Slot(run.Len) + 1
	}
	return runs, next + proto.Slot(rapid.Uint32Range(0, 2000).Draw(d.T, "tail"))
}

func (d draw) commit(t Table) Commit {
	c := Commit{TokenSeq: d.u64(), Phase: rapid.SampledFrom([]uint8{1, 2}).Draw(d.T, "phase")}
	for _, id := range d.nodes(8) {
		e := CommitEntry{
			Member: Member{ID: id, Inc: d.u64()}, Filled: d.flag(), Quorate: d.flag(), OldRing: d.ring(),
			Aru: min(d.slot(), MaxSlot-1<<20), Stable: d.slot(), Deliver: d.subset(t), MTU: d.u16(), Features: d.u64(),
		}
		e.High = e.Aru
		if d.flag() {
			e.Have, e.High = d.runs(e.Aru)
		}
		for _, q := range d.nodes(3) {
			e.Quarantine = append(e.Quarantine, Quarantined{Node: q, K: d.u8(), RemainingMS: d.u32(), Reason: d.u8()})
		}
		c.Entries = append(c.Entries, e)
	}
	return c
}

func (d draw) notice() Notice {
	n := Notice{Code: NoticeCode(d.u8())}
	copy(n.Nonce[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(d.T, "nonce"))
	for range rapid.IntRange(0, MaxNoticeValues).Draw(d.T, "values") {
		n.Values = append(n.Values, d.u64())
	}
	n.Text = rapid.StringN(0, -1, MaxNoticeText).Draw(d.T, "text")
	return n
}

// split parses the header of frame and compares it.
func split(t interface {
	Helper()
	Fatalf(string, ...any)
}, frame []byte, want Header) []byte {
	t.Helper()
	h, body, err := ParseHeader(frame)
	if err != nil {
		t.Fatalf("header of %x: %v", frame, err)
	}
	if h != want {
		t.Fatalf("header: got %+v, want %+v", h, want)
	}
	return body
}

func equal[T any](t *rapid.T, got T, err error, want T) {
	t.Helper()
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("round trip (-want +got):\n%s", diff)
	}
}

func TestRoundTrip_Token(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := draw{rt}
		h, want := d.header(TypeToken), d.token()
		frame := AppendToken(nil, h, want)
		if want, got := TokenLen+len(want.Rtr)*rtrItemLen, len(frame); got != want {
			rt.Fatalf("size: got %d, want %d", got, want)
		}
		got := Token{Rtr: make([]RtrItem, 3)}
		err := ParseTokenInto(split(rt, frame, h), &got)
		if len(want.Rtr) == 0 {
			got.Rtr = want.Rtr
		}
		equal(rt, got, err, want)
	})
}

func TestRoundTrip_Data(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := draw{rt}
		h, want := d.header(TypeData), d.data()
		pieces := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Piece { return draw{t}.piece() }), 0, 5).Draw(rt, "pieces")
		frame := AppendDataHead(nil, h, want)
		for _, p := range pieces {
			before := len(frame)
			frame = AppendPiece(frame, p)
			if want, got := PieceSize(p.K, p.No, len(p.Body)), len(frame)-before; got != want {
				rt.Fatalf("piece of %d bytes, PieceSize says %d", got, want)
			}
		}
		want.Pieces = frame[HeaderLen+DataHeadLen:]
		want.Count = uint16(len(pieces))
		PatchDataCount(frame, want.Count)
		got, err := ParseData(split(rt, frame, h))
		equal(rt, got, err, want)
		if err := CheckPieces(got.Pieces, got.Count); err != nil {
			rt.Fatal(err)
		}
		rest := got.Pieces
		for _, want := range pieces {
			var p Piece
			p, rest, err = NextPiece(rest)
			equal(rt, p, err, want)
		}
		if len(rest) != 0 {
			rt.Fatalf("%d bytes behind the pieces", len(rest))
		}
	})
}

func TestRoundTrip_Join(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := draw{rt}
		tab := d.table()
		h, want := d.header(TypeJoin), d.join(tab)
		got, err := ParseJoin(split(rt, AppendJoin(nil, h, want, tab), h), tab)
		equal(rt, got, err, want)
	})
}

func TestRoundTrip_Commit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := draw{rt}
		tab := d.table()
		h, want := d.header(TypeCommit), d.commit(tab)
		got, err := ParseCommit(split(rt, AppendCommit(nil, h, want, tab), h), tab)
		equal(rt, got, err, want)
	})
}

func TestRoundTrip_Small(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := draw{rt}
		tab := d.table()

		h, ack := d.header(TypeTokenAck), TokenAck{TokenSeq: d.u64(), Aru: d.slot()}
		gotAck, err := ParseTokenAck(split(rt, AppendTokenAck(nil, h, ack), h))
		equal(rt, gotAck, err, ack)

		h, wake := d.header(TypeWake), Wake{Hint: d.slot()}
		gotWake, err := ParseWake(split(rt, AppendWake(nil, h, wake), h))
		equal(rt, gotWake, err, wake)

		h, probe := d.header(TypeProbe), Probe{Members: d.subset(tab), Reach: d.subset(tab), Flags: d.u8()}
		gotProbe, err := ParseProbe(split(rt, AppendProbe(nil, h, probe, tab), h), tab)
		equal(rt, gotProbe, err, probe)

		h, notice := d.header(TypeNotice), d.notice()
		gotNotice, err := ParseNotice(split(rt, AppendNotice(nil, h, notice), h))
		equal(rt, gotNotice, err, notice)
	})
}

func TestFrameHash_IgnoresFlagsOnly(t *testing.T) {
	frame := AppendDataHead(nil, Header{Ring: proto.RingID{Seq: 1, Rep: 2}}, Data{Slot: 7, Origin: 1})
	frame = AppendPiece(frame, Piece{K: 1, Flags: PieceLast, Body: []byte("seventeen letters")})
	want := FrameHash(frame)
	for i := range frame {
		for bit := range 8 {
			other := bytes.Clone(frame)
			other[i] ^= 1 << bit
			isFlags := i == FlagsOffset || i == FlagsOffset+1
			if same := FrameHash(other) == want; same != isFlags {
				t.Errorf("byte %d bit %d changed: same hash %v, want %v", i, bit, same, isFlags)
			}
		}
	}
	other := bytes.Clone(frame)
	SetFlags(other, FlagRetransmit|FlagPostToken)
	if h, _, err := ParseHeader(other); err != nil || h.Flags != FlagRetransmit|FlagPostToken {
		t.Errorf("after SetFlags: %+v, %v", h, err)
	}
	if FrameHash(other) != want {
		t.Error("a retransmission has another hash")
	}
	if FrameHash(append(other, 0)) == want {
		t.Error("a longer frame has the same hash")
	}
	if got, want := FrameHash([]byte("abcd")), FrameHash([]byte("abce")); got == want {
		t.Error("short frames have the same hash")
	}
}
