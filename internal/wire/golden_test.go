package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

var (
	sampleRing  = proto.RingID{Seq: 42, Rep: 1, Inc: 0xA1A2A3A4}
	sampleTable = Table{Version: 7, IDs: []proto.NodeID{1, 2, 3, 4, 5, 6, 7, 8, 9}}
)

func sampleHeader(t Type) Header {
	return Header{Type: t, Cluster: 0xC1C2C3C4, Ring: sampleRing}
}

func sampleToken(items int) Token {
	t := Token{
		TokenSeq: 1001, Seq: 515, Aru: 510, AruOwner: 3, Fcc: 12, Backlog: 34, Wnd: 256,
		Stable: 500, RtrMade: 2, Flags: TokenHold | TokenLimited, Stamp: 0x0102030405060708,
	}
	for i := range items {
		t.Rtr = append(t.Rtr, RtrItem{Base: proto.Slot(512 + 64*i), Miss: 0b110, Requester: 2})
	}
	return t
}

func sampleData() []byte {
	h := sampleHeader(TypeData)
	h.Flags = FlagRetransmit | FlagLastOfVisit
	b := AppendDataHead(nil, h, Data{Slot: 513, Origin: 2, OriginInc: 0xB1B2B3B4, Round: 77})
	b = AppendPiece(b, Piece{K: 300, No: 0, Flags: PieceLast | PieceSafe | 2<<4, Body: []byte("first")})
	b = AppendPiece(b, Piece{K: 301, No: 1, Body: []byte("second")})
	PatchDataCount(b, 2)
	return b
}

func sampleJoin() Join {
	return Join{
		Attempt: 3, RingSeq: 42, MaxSeen: 46,
		Proc: []Member{{1, 0x1111}, {2, 0x2222}, {9, 0x9999}}, Fail: []proto.NodeID{3},
		Heard: []proto.NodeID{2, 9, 77}, Digest: 0xD1D2D3D4D5D6D7D8, State: 1, Reason: 2, Flags: JoinLeaving,
	}
}

func sampleCommit() Commit {
	return Commit{TokenSeq: 5, Phase: 2, Entries: []CommitEntry{
		{
			Member: Member{1, 0x1111}, Filled: true, Quorate: true, OldRing: sampleRing,
			Aru: 100, High: 120, Stable: 90, Deliver: []proto.NodeID{1, 2, 3, 4},
			Have: []Run{{102, 3}, {110, 11}}, MTU: 1500, Features: 0xF0,
			Quarantine: []Quarantined{{Node: 8, K: 2, RemainingMS: 1500, Reason: 4}},
		},
		{
			Member: Member{2, 0x2222}, Filled: true, OldRing: sampleRing,
			Aru: 100, High: 5100, Stable: 90, Have: []Run{{200, 4000}}, MTU: 9000,
		},
		{Member: Member{9, 0x9999}},
	}}
}

func sampleNotice() Notice {
	n := Notice{Code: NoticeQuarantine, Values: []uint64{2, 1500}, Text: "you were quarantined"}
	copy(n.Nonce[:], "0123456789abcdef")
	return n
}

// samples are one frame of each kind; the golden files hold them as hex.
func samples() map[string][]byte {
	return map[string][]byte{
		"data":      sampleData(),
		"token":     AppendToken(nil, sampleHeader(TypeToken), sampleToken(2)),
		"token-ack": AppendTokenAck(nil, sampleHeader(TypeTokenAck), TokenAck{TokenSeq: 1001, Aru: 510}),
		"join":      AppendJoin(nil, sampleHeader(TypeJoin), sampleJoin(), sampleTable),
		"commit":    AppendCommit(nil, sampleHeader(TypeCommit), sampleCommit(), sampleTable),
		"probe": AppendProbe(nil, sampleHeader(TypeProbe),
			Probe{Members: []proto.NodeID{1, 2, 9}, Reach: []proto.NodeID{2, 8}, Flags: ProbeForwarded}, sampleTable),
		"wake":   AppendWake(nil, sampleHeader(TypeWake), Wake{Hint: 514}),
		"notice": AppendNotice(nil, sampleHeader(TypeNotice), sampleNotice()),
	}
}

func TestGolden(t *testing.T) {
	for name, frame := range samples() {
		t.Run(name, func(t *testing.T) { golden(t, name+".hex", hexLines(frame)) })
	}
}

// The sizes that ordering 2.4 names.
func TestSizes(t *testing.T) {
	frames := samples()
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"header", len(Header{}.Append(nil)), HeaderLen},
		{"data head", len(AppendDataHead(nil, Header{}, Data{})), HeaderLen + DataHeadLen},
		{"wrap", len(AppendDataHead(nil, Header{}, Data{})), WrapLen},
		{"token ack", len(frames["token-ack"]), 44},
		{"wake", len(frames["wake"]), 36},
		{"token", len(AppendToken(nil, Header{}, Token{})), TokenLen},
		{"longest token", len(AppendToken(nil, Header{}, sampleToken(MaxRtr+1))), TokenLen + MaxRtr*rtrItemLen},
		{"empty commit entry", len(AppendCommit(nil, Header{}, Commit{Entries: make([]CommitEntry, 1)}, Table{})) -
			len(AppendCommit(nil, Header{}, Commit{}, Table{})), minEntryLen},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %d bytes, want %d", c.what, c.got, c.want)
		}
	}
}

// A Join has to fit one datagram up to about 500 nodes (ordering 2.4): what it
// needs there is what a fast path of 9000 bytes carries.
func TestJoin_500NodesFitOneDatagram(t *testing.T) {
	var tab Table
	var j Join
	for id := proto.NodeID(1); id <= 500; id++ {
		tab.IDs = append(tab.IDs, id)
		j.Proc = append(j.Proc, Member{ID: id, Inc: 1})
	}
	j.Heard = tab.IDs
	if got := len(AppendJoin(nil, Header{}, j, tab)); got > 4400 {
		t.Errorf("join of 500 nodes takes %d bytes", got)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; if the format is meant to change, run go test -update and read the diff\n got:\n%swant:\n%s",
			path, got, want)
	}
}

// hexLines writes the header on a line of its own, then 16 bytes a line.
func hexLines(frame []byte) []byte {
	var out strings.Builder
	out.WriteString(hex.EncodeToString(frame[:HeaderLen]) + "\n")
	for rest := frame[HeaderLen:]; len(rest) > 0; {
		n := min(16, len(rest))
		out.WriteString(hex.EncodeToString(rest[:n]) + "\n")
		rest = rest[n:]
	}
	return []byte(out.String())
}
