package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

// parse runs the parser that belongs to a frame.
func parse(frame []byte, t Table) error {
	h, body, err := ParseHeader(frame)
	if err != nil {
		return err
	}
	switch h.Type {
	case TypeData:
		d, e := ParseData(body)
		if err = e; err == nil {
			err = CheckPieces(d.Pieces, d.Count)
		}
	case TypeToken:
		_, err = ParseToken(body)
	case TypeTokenAck:
		_, err = ParseTokenAck(body)
	case TypeJoin:
		_, err = ParseJoin(body, t)
	case TypeCommit:
		_, err = ParseCommit(body, t)
	case TypeProbe:
		_, err = ParseProbe(body, t)
	case TypeWake:
		_, err = ParseWake(body)
	case TypeNotice:
		_, err = ParseNotice(body)
	}
	return err
}

// Whatever is cut off or put behind a frame is noticed.
func TestMalformed_EveryLength(t *testing.T) {
	for name, frame := range samples() {
		if err := parse(frame, sampleTable); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range frame {
			if err := parse(frame[:n:n], sampleTable); !errors.Is(err, ErrShort) {
				t.Errorf("%s cut to %d of %d bytes: got %v, want ErrShort", name, n, len(frame), err)
			}
		}
		if err := parse(append(bytes.Clone(frame), 0), sampleTable); !errors.Is(err, ErrTrailing) {
			t.Errorf("%s with one byte more: got %v, want ErrTrailing", name, err)
		}
	}
}

// patch returns a copy of frame with some bytes replaced.
func patch(frame []byte, at int, with ...byte) []byte {
	out := bytes.Clone(frame)
	copy(out[at:], with)
	return out
}

func u16(v uint16) []byte { return binary.LittleEndian.AppendUint16(nil, v) }
func u32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// probeOf is a probe frame around an encoded set.
func probeOf(set ...[]byte) []byte {
	return join(sampleHeader(TypeProbe).Append(nil), join(set...), appendSet(nil, nil, Table{}), []byte{0})
}

// commitOf is a commit frame with one entry, whose have set is given.
func commitOf(aru, high uint64, have ...[]byte) []byte {
	b := AppendCommit(nil, sampleHeader(TypeCommit), Commit{Phase: 1}, Table{})
	b = patch(b, len(b)-2, 1)
	b = join(b, u32(1), u64(5), []byte{1}, make([]byte, ringLen), u64(aru), u64(high), u64(0))
	b = appendSet(b, nil, Table{})
	return join(b, join(have...), u16(1500), u64(0), u16(0))
}

func TestMalformed(t *testing.T) {
	over := u64(uint64(MaxSlot) + 1)
	frames := samples()
	token, commit, notice := frames["token"], frames["commit"], frames["notice"]
	oneToken := AppendToken(nil, sampleHeader(TypeToken), sampleToken(1))
	const item = HeaderLen + tokenHeadLen
	dataHead := AppendDataHead(nil, sampleHeader(TypeData), Data{Slot: 1, Origin: 1, Count: 1})

	for _, c := range []struct {
		name  string
		frame []byte
		want  error
	}{
		{"magic", patch(token, 0, 0), ErrBadMagic},
		{"version", patch(token, 2, Version+1), ErrBadVersion},
		{"header length", patch(token, 6, HeaderLen+1), ErrBadHeaderLen},
		{"type 0", patch(token, 3, 0), ErrBadType},
		{"type above the last", patch(token, 3, byte(TypeNotice)+1), ErrBadType},

		{"data: slot 0", patch(frames["data"], HeaderLen, u64(0)...), ErrSlot},
		{"data: slot", patch(frames["data"], HeaderLen, over...), ErrSlot},
		{"data: no origin", patch(frames["data"], HeaderLen+8, u32(0)...), ErrBadNode},
		{"data: broadcast origin", patch(frames["data"], HeaderLen+8, u32(1<<32-1)...), ErrBadNode},
		{"data: reserved bytes", patch(frames["data"], HeaderLen+20, 0, 1), ErrBadValue},
		{"data: more pieces than said", patch(frames["data"], dataCountOffset, 1), ErrTrailing},
		{"data: fewer pieces than said", patch(frames["data"], dataCountOffset, 3), ErrShort},
		{"piece: longer than the frame", join(dataHead, []byte{1, 0, 0, 5, 'a'}), ErrShort},
		{"piece: length of 2^63", join(dataHead, []byte{1, 0, 0}, binary.AppendUvarint(nil, 1<<63)), ErrShort},
		{"piece: long form of 1", join(dataHead, []byte{0x81, 0, 0, 0, 0}), ErrBadVarint},
		{"piece: long form of 0", join(dataHead, []byte{1, 0x80, 0, 0, 0}), ErrBadVarint},
		{"piece: 65 bits", join(dataHead, bytes.Repeat([]byte{0xFF}, 9), []byte{2, 0, 0, 0}), ErrBadVarint},
		{"piece: 11 bytes", join(dataHead, bytes.Repeat([]byte{0x80}, 10), []byte{1, 0, 0, 0}), ErrBadVarint},

		{"token: seq", patch(token, HeaderLen+8, over...), ErrSlot},
		{"token: aru", patch(token, HeaderLen+16, over...), ErrSlot},
		{"token: stable", patch(token, HeaderLen+40, over...), ErrSlot},
		{"token: too many items", patch(token, item-2, u16(MaxRtr+1)...), ErrTooMany},
		{"token: items that are not there", patch(token, item-2, u16(MaxRtr)...), ErrShort},
		{"token: base between words", patch(oneToken, item, u64(65)...), ErrBadValue},
		{"token: base too high", patch(oneToken, item, u64(uint64(MaxSlot)+64)...), ErrSlot},
		{"token: map reaches too high", patch(oneToken, item, join(u64(uint64(MaxSlot)), u64(2))...), ErrSlot},
		{"token: highest slot", patch(oneToken, item, join(u64(uint64(MaxSlot)), u64(1))...), nil},
		{"token ack: aru", patch(frames["token-ack"], HeaderLen+8, over...), ErrSlot},
		{"wake: hint", patch(frames["wake"], HeaderLen, over...), ErrSlot},

		{"set: form", probeOf(u32(7), []byte{2}, u16(0)), ErrBadValue},
		{"set: list ends early", probeOf(u32(7), []byte{setList}, u16(9), u32(1)), ErrShort},
		{"set: list too long", probeOf(u32(7), []byte{setList}, u16(MaxNodes+1), make([]byte, 4*(MaxNodes+1))), ErrTooMany},
		{"set: list of node 0", probeOf(u32(7), []byte{setList}, u16(1), u32(0)), ErrBadNode},
		{"set: list descends", probeOf(u32(7), []byte{setList}, u16(2), u32(2), u32(1)), ErrBadOrder},
		{"set: list repeats", probeOf(u32(7), []byte{setList}, u16(2), u32(2), u32(2)), ErrBadOrder},
		{"set: list of any table", probeOf(u32(8), []byte{setList}, u16(1), u32(100)), nil},
		{"set: bitmap of another table", probeOf(u32(8), []byte{setBitmap}, u16(9), []byte{1, 0}), ErrTable},
		{"set: bitmap of another size", probeOf(u32(7), []byte{setBitmap}, u16(8), []byte{1}), ErrTable},
		{"set: bitmap with padding", probeOf(u32(7), []byte{setBitmap}, u16(9), []byte{1, 2}), ErrBadValue},
		{"set: bitmap ends early", probeOf(u32(7), []byte{setBitmap}, u16(65535), []byte{1}), ErrShort},

		{"commit: phase 0", patch(commit, HeaderLen+8, 0), ErrBadValue},
		{"commit: phase 3", patch(commit, HeaderLen+8, 3), ErrBadValue},
		{"commit: too many entries", patch(commit, HeaderLen+9, u16(MaxNodes+1)...), ErrTooMany},
		{"commit: entries that are not there", patch(commit, HeaderLen+9, u16(MaxNodes)...), ErrShort},
		{"commit: member 0", patch(commit, HeaderLen+11, u32(0)...), ErrBadNode},
		{"commit: members descend", patch(commit, HeaderLen+11, u32(3)...), ErrBadOrder},
		{"commit: entry flags", patch(commit, HeaderLen+11+12, 4), ErrBadValue},
		{"commit: high below aru", commitOf(9, 8, []byte{haveRuns}, u16(0)), ErrBadRun},
		{"commit: have form", commitOf(8, 9, []byte{2}, u16(0)), ErrBadValue},
		{"commit: run at aru", commitOf(8, 20, []byte{haveRuns}, u16(1), u64(8), u32(1)), ErrBadRun},
		{"commit: run above high", commitOf(8, 20, []byte{haveRuns}, u16(1), u64(20), u32(2)), ErrBadRun},
		{"commit: empty run", commitOf(8, 20, []byte{haveRuns}, u16(1), u64(10), u32(0)), ErrBadRun},
		{"commit: runs overlap", commitOf(8, 20, []byte{haveRuns}, u16(2), u64(10), u32(3), u64(12), u32(1)), ErrBadRun},
		{"commit: runs touch", commitOf(8, 20, []byte{haveRuns}, u16(2), u64(10), u32(3), u64(13), u32(1)), ErrBadRun},
		{"commit: runs descend", commitOf(8, 20, []byte{haveRuns}, u16(2), u64(15), u32(1), u64(10), u32(1)), ErrBadRun},
		{"commit: runs apart", commitOf(8, 20, []byte{haveRuns}, u16(2), u64(10), u32(3), u64(14), u32(7)), nil},
		{"commit: run of slots above the limit", commitOf(0, uint64(MaxSlot), []byte{haveRuns}, u16(1), over, u32(1)), ErrSlot},
		{"commit: runs that are not there", commitOf(8, 20, []byte{haveRuns}, u16(65535)), ErrShort},
		{"commit: bitmap that is not there", commitOf(8, 8+8000, []byte{haveBitmap}), ErrShort},
		{"commit: bitmap of everything", commitOf(0, uint64(MaxSlot), []byte{haveBitmap}), ErrTooMany},
		{"commit: bitmap with padding", commitOf(8, 12, []byte{haveBitmap, 0x10}), ErrBadValue},
		{"commit: bitmap of too many runs", commitOf(0, 2*MaxRuns+8, []byte{haveBitmap},
			bytes.Repeat([]byte{0x55}, bitmapLen(2*MaxRuns+8))), ErrTooMany},

		{"notice: too many values", patch(notice, HeaderLen+17, MaxNoticeValues+1), ErrTooMany},
		{"notice: text too long", patch(notice, HeaderLen+18+16, u16(MaxNoticeText+1)...), ErrTooMany},
		{"notice: text is not text", patch(notice, len(notice)-1, 0xFF), ErrBadText},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := parse(c.frame, sampleTable); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestErrors_SayBothNumbers(t *testing.T) {
	_, _, err := ParseHeader(make([]byte, 5))
	if got, want := err.Error(), "header: 5 of 28 bytes: wire: frame is too short"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = ParseTokenAck(make([]byte, 10))
	if got, want := err.Error(), "token ack: aru: 2 of 8 bytes: wire: frame is too short"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFrameType(t *testing.T) {
	for _, frame := range samples() {
		h, _, _ := ParseHeader(frame)
		if got := FrameType(frame); got != h.Type {
			t.Errorf("got %d, want %d", got, h.Type)
		}
		if got := FrameType(frame[:HeaderLen-1]); got != 0 {
			t.Errorf("of a short frame: got %d, want 0", got)
		}
	}
}

func TestSet_SmallerForm(t *testing.T) {
	ids := func(n int) (out []proto.NodeID) {
		for i := range n {
			out = append(out, proto.NodeID(i+1))
		}
		return out
	}
	for _, c := range []struct {
		name string
		ids  []proto.NodeID
		tab  Table
		form byte
		size int
	}{
		{"nobody", nil, sampleTable, setList, 0},
		{"one of nine", ids(1), sampleTable, setBitmap, 2},
		{"one of 32: the same size", ids(1), Table{IDs: ids(32)}, setList, 4},
		{"two of 32", ids(2), Table{IDs: ids(32)}, setBitmap, 4},
		{"a stranger", append(ids(9), 77), sampleTable, setList, 40},
		{"without a table", ids(3), Table{}, setList, 12},
	} {
		got := appendSet(nil, c.ids, c.tab)
		if got[4] != c.form || len(got) != setHeadLen+c.size {
			t.Errorf("%s: form %d in %d bytes, want %d in %d", c.name, got[4], len(got)-setHeadLen, c.form, c.size)
		}
	}
}

func TestHave_SmallerForm(t *testing.T) {
	for _, c := range []struct {
		name string
		have []Run
		high proto.Slot
		form byte
		size int
	}{
		{"no slots", nil, 0, haveBitmap, 0},
		{"none of 8", nil, 8, haveBitmap, 1},
		{"none of many", nil, 1000, haveRuns, 2},
		{"one run of many", []Run{{5, 900}}, 1000, haveRuns, 14},
		{"one run of few", []Run{{5, 90}}, 104, haveBitmap, 13},
	} {
		got := appendHave(nil, c.have, 0, c.high)
		if got[0] != c.form || len(got) != 1+c.size {
			t.Errorf("%s: form %d in %d bytes, want %d in %d", c.name, got[0], len(got)-1, c.form, c.size)
		}
	}
}

func TestNotice_LongTextIsCutBetweenCharacters(t *testing.T) {
	n := Notice{Values: make([]uint64, MaxNoticeValues+1), Text: "x" + strings.Repeat("\u00e4", MaxNoticeText)}
	got, err := ParseNotice(AppendNoticeBody(nil, n))
	if err != nil {
		t.Fatal(err)
	}
	if want := "x" + strings.Repeat("\u00e4", (MaxNoticeText-1)/2); got.Text != want {
		t.Errorf("text of %d bytes, want %d", len(got.Text), len(want))
	}
	if len(got.Values) != MaxNoticeValues {
		t.Errorf("%d values, want %d", len(got.Values), MaxNoticeValues)
	}
}
