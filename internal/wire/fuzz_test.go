package wire

import (
	"bytes"
	"reflect"
	"testing"
)

// seeds gives a fuzz target the body of the sample frame, and of its torn forms.
func seeds(f *testing.F, name string) {
	body := samples()[name][HeaderLen:]
	f.Add(body)
	f.Add(body[:len(body)/2])
	f.Add([]byte{})
}

// same checks that an accepted body is encoded to the same bytes again. skip is
// what the encoder puts in front.
func same(t *testing.T, frame, body []byte) {
	t.Helper()
	if got := frame[HeaderLen:]; !bytes.Equal(got, body) {
		t.Fatalf("round trip:\n%x became\n%x", body, got)
	}
}

// again checks that an accepted value survives encoding. The bytes may differ:
// a sender with another node table may have chosen the other form of a set.
func again[T any](t *testing.T, want, got T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("parse %+v again: %v", want, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("round trip:\n%+v became\n%+v", want, got)
	}
}

func FuzzHeader(f *testing.F) {
	for _, frame := range samples() {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		FrameHash(frame)
		h, body, err := ParseHeader(frame)
		if err != nil {
			return
		}
		if got := append(h.Append(nil), body...); !bytes.Equal(got, frame) {
			t.Fatalf("round trip:\n%x became\n%x", frame, got)
		}
	})
}

func FuzzData(f *testing.F) {
	seeds(f, "data")
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := ParseData(body)
		if err != nil || CheckPieces(d.Pieces, d.Count) != nil {
			return
		}
		frame := AppendDataHead(nil, Header{}, d)
		for rest := d.Pieces; len(rest) > 0; {
			var p Piece
			if p, rest, err = NextPiece(rest); err != nil {
				t.Fatalf("piece after CheckPieces: %v", err)
			}
			before := len(frame)
			frame = AppendPiece(frame, p)
			if got, want := len(frame)-before, PieceSize(p.K, p.No, len(p.Body)); got != want {
				t.Fatalf("piece of %d bytes, PieceSize says %d", got, want)
			}
		}
		same(t, frame, body)
	})
}

func FuzzToken(f *testing.F) {
	seeds(f, "token")
	f.Fuzz(func(t *testing.T, body []byte) {
		tok, err := ParseToken(body)
		if err != nil {
			return
		}
		same(t, AppendToken(nil, Header{}, tok), body)
	})
}

func FuzzTokenAck(f *testing.F) {
	seeds(f, "token-ack")
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := ParseTokenAck(body)
		if err != nil {
			return
		}
		same(t, AppendTokenAck(nil, Header{}, a), body)
	})
}

func FuzzJoin(f *testing.F) {
	seeds(f, "join")
	f.Fuzz(func(t *testing.T, body []byte) {
		j, err := ParseJoin(body, sampleTable)
		if err != nil {
			return
		}
		got, err := ParseJoin(AppendJoin(nil, Header{}, j, sampleTable)[HeaderLen:], sampleTable)
		again(t, j, got, err)
	})
}

func FuzzCommit(f *testing.F) {
	seeds(f, "commit")
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := ParseCommit(body, sampleTable)
		if err != nil {
			return
		}
		got, err := ParseCommit(AppendCommit(nil, Header{}, c, sampleTable)[HeaderLen:], sampleTable)
		again(t, c, got, err)
	})
}

func FuzzProbe(f *testing.F) {
	seeds(f, "probe")
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := ParseProbe(body, sampleTable)
		if err != nil {
			return
		}
		got, err := ParseProbe(AppendProbe(nil, Header{}, p, sampleTable)[HeaderLen:], sampleTable)
		again(t, p, got, err)
	})
}

func FuzzWake(f *testing.F) {
	seeds(f, "wake")
	f.Fuzz(func(t *testing.T, body []byte) {
		w, err := ParseWake(body)
		if err != nil {
			return
		}
		same(t, AppendWake(nil, Header{}, w), body)
	})
}

func FuzzNotice(f *testing.F) {
	seeds(f, "notice")
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := ParseNotice(body)
		if err != nil {
			return
		}
		same(t, AppendNotice(nil, Header{}, n), body)
	})
}
