package wire

import (
	"fmt"
	"testing"

	"github.com/moothall/moothall/internal/proto"
)

// The frames of the steady state are built and read without allocating.
func TestSteadyState_NoAllocation(t *testing.T) {
	buf := make([]byte, 0, 2048)
	tok := sampleToken(MaxRtr)
	frame := AppendToken(nil, sampleHeader(TypeToken), tok)
	data := sampleData()
	ack := samples()["token-ack"]
	var into Token
	for _, c := range []struct {
		name string
		run  func() error
	}{
		{"append token", func() error { buf = AppendToken(buf[:0], sampleHeader(TypeToken), tok); return nil }},
		{"parse token", func() error {
			_, body, err := ParseHeader(frame)
			if err != nil {
				return err
			}
			return ParseTokenInto(body, &into)
		}},
		{"append data", func() error {
			buf = AppendDataHead(buf[:0], sampleHeader(TypeData), Data{Slot: 1, Origin: 1})
			buf = AppendPiece(buf, Piece{K: 1, Body: data})
			PatchDataCount(buf, 1)
			SetFlags(buf, FlagRetransmit)
			return nil
		}},
		{"parse data", func() error {
			_, body, err := ParseHeader(data)
			if err != nil {
				return err
			}
			d, err := ParseData(body)
			if err != nil {
				return err
			}
			FrameHash(data)
			return CheckPieces(d.Pieces, d.Count)
		}},
		{"append token ack", func() error { buf = AppendTokenAck(buf[:0], sampleHeader(TypeTokenAck), TokenAck{}); return nil }},
		{"parse token ack", func() error {
			_, body, err := ParseHeader(ack)
			if err != nil {
				return err
			}
			_, err = ParseTokenAck(body)
			return err
		}},
	} {
		if err := c.run(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if n := testing.AllocsPerRun(1000, func() { _ = c.run() }); n != 0 {
			t.Errorf("%s allocates %v times", c.name, n)
		}
	}
}

func BenchmarkToken(b *testing.B) {
	for _, items := range []int{0, MaxRtr} {
		tok := sampleToken(items)
		frame := AppendToken(nil, sampleHeader(TypeToken), tok)
		b.Run(fmt.Sprintf("op=append/items=%d", items), func(b *testing.B) {
			buf := make([]byte, 0, 2048)
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				buf = AppendToken(buf[:0], sampleHeader(TypeToken), tok)
			}
		})
		b.Run(fmt.Sprintf("op=parse/items=%d", items), func(b *testing.B) {
			var into Token
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if err := ParseTokenInto(frame[HeaderLen:], &into); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkData(b *testing.B) {
	for _, pieces := range []int{1, 14} {
		body := make([]byte, 1400/pieces-8)
		build := func(buf []byte) []byte {
			buf = AppendDataHead(buf, sampleHeader(TypeData), Data{Slot: 1, Origin: 1, Count: uint16(pieces)})
			for k := range pieces {
				buf = AppendPiece(buf, Piece{K: uint64(k), Flags: PieceLast, Body: body})
			}
			return buf
		}
		frame := build(nil)
		b.Run(fmt.Sprintf("op=append/pieces=%d", pieces), func(b *testing.B) {
			buf := make([]byte, 0, 2048)
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				buf = build(buf[:0])
			}
		})
		b.Run(fmt.Sprintf("op=parse/pieces=%d", pieces), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				d, err := ParseData(frame[HeaderLen:])
				if err == nil {
					err = CheckPieces(d.Pieces, d.Count)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("op=hash/pieces=%d", pieces), func(b *testing.B) {
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				FrameHash(frame)
			}
		})
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, members := range []int{3, 32, 255} {
		var tab Table
		c := Commit{Phase: 2}
		for id := proto.NodeID(1); id <= proto.NodeID(members); id++ {
			tab.IDs = append(tab.IDs, id)
			c.Entries = append(c.Entries, CommitEntry{Member: Member{ID: id}, High: 1000, Have: []Run{{5, 100}, {400, 300}}})
		}
		for i := range c.Entries {
			c.Entries[i].Deliver = tab.IDs
		}
		frame := AppendCommit(nil, sampleHeader(TypeCommit), c, tab)
		b.Run(fmt.Sprintf("op=parse/members=%d", members), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if _, err := ParseCommit(frame[HeaderLen:], tab); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
