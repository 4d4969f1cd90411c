package qb

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// memoryRing is a ring in ordinary memory.
func memoryRing(words uint32) *ring {
	r := &ring{head: make([]byte, headerLen), data: make([]byte, 4*words), words: words}
	r.initialise("header", "data")
	return r
}

// Whatever goes in comes out, in order and around the end, and a ring that says
// it has room is never overrun.
func TestRing_WriteAndNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := memoryRing(rapid.Uint32Range(16, 80).Draw(t, "words"))
		r := &ring{head: w.head, data: w.data, words: w.words}
		var inside [][]byte
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			msg := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "message")
			cut := rapid.IntRange(0, len(msg)).Draw(t, "cut")
			if ok, err := w.room(len(msg), 0); err != nil {
				t.Fatal(err)
			} else if ok {
				w.write(msg[:cut], msg[cut:])
				inside = append(inside, msg)
			} else if len(inside) == 0 {
				t.Fatalf("no room for %d bytes in an empty ring of %d words", len(msg), w.words)
			}
			for range rapid.IntRange(0, len(inside)).Draw(t, "reads") {
				if r.take(1) != 1 {
					t.Fatal("no unit for a chunk that was written")
				}
				got, err := r.next(nil, 40)
				if err != nil || !bytes.Equal(got, inside[0]) {
					t.Fatalf("got %x, %v, want %x", got, err, inside[0])
				}
				inside = inside[1:]
				r.publishRead()
			}
			if n := w.count(); int(n) != len(inside) {
				t.Fatalf("semaphore %d with %d chunks", n, len(inside))
			}
		}
	})
}

// Anything may stand in a client's memory: reading gives a message within the
// bound or an error.
func FuzzRing_Next(f *testing.F) {
	good := memoryRing(32)
	good.write([]byte("header"), []byte("and body"))
	f.Add(good.data, uint64(1), uint32(0), uint32(0))
	f.Add(bytes.Repeat([]byte{0xff}, 128), ^uint64(0), ^uint32(0), uint32(31))
	f.Fuzz(func(t *testing.T, data []byte, sem uint64, readPt, at uint32) {
		words := uint32(len(data) / 4)
		if words < 8 {
			return
		}
		r := memoryRing(words)
		copy(r.data, data)
		binary.LittleEndian.PutUint64(r.head[offSemaphore:], sem)
		binary.LittleEndian.PutUint32(r.head[offRead:], readPt)
		r.at = at % words
		limit := 4*int(words) - dataMargin
		for range min(r.take(words), 100) {
			msg, err := r.next(nil, limit)
			if err != nil {
				break
			}
			if len(msg) > limit {
				t.Fatalf("%d bytes, %d agreed", len(msg), limit)
			}
			_, _, _ = splitRequest(msg)
		}
		if ok, err := r.room(4, 0); err == nil && ok {
			r.write([]byte("x"), []byte("yz"))
		}
	})
}

func FuzzParseAuth(f *testing.F) {
	f.Add(make([]byte, authRequestLen))
	f.Fuzz(func(t *testing.T, b []byte) {
		size, err := parseAuth(b)
		if err != nil {
			return
		}
		if n, err := agreeSize(size, 16<<20); err == nil && (n < minMessage || n > 16<<20) {
			t.Fatalf("asked %d, agreed %d", size, n)
		}
	})
}
