package cmap

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type appender interface{ AppendTo([]byte) []byte }

// again parses a body and encodes it again.
type again func(b []byte) (appender, error)

func parser[T appender](parse func([]byte) (T, error)) again {
	return func(b []byte) (appender, error) { return parse(b) }
}

var bodies = []struct {
	value appender
	parse again
}{
	{KeyRequest{"totem.token"}, parser(ParseKey)},
	{SetRequest{"test.k", U32(5)}, parser(ParseSet)},
	{AdjustRequest{"test.k", -1}, parser(ParseAdjust)},
	{Handle{1 << 60}, parser(ParseHandle)},
	{TrackRequest{"test.", int32(kinds), 7}, parser(ParseTrack)},
	{MapRequest{StatsMap}, parser(ParseMap)},
	{Entry{"test.k", Str("hello")}, parser(ParseEntry)},
	{Notice{9, Change{"test.k", Modify, Str("a"), U8(1)}}, parser(ParseNotice)},
}

func TestBodies_RoundTrip(t *testing.T) {
	for _, c := range bodies {
		b := c.value.AppendTo(nil)
		got, err := c.parse(b)
		if err != nil {
			t.Errorf("%T: %v", c.value, err)
			continue
		}
		if diff := cmp.Diff(c.value, got); diff != "" {
			t.Errorf("%T differs (-want +got):\n%s", c.value, diff)
		}
		for n := range b {
			if _, err := c.parse(b[:n]); err == nil {
				t.Errorf("%T: %d of %d bytes accepted", c.value, n, len(b))
			}
		}
	}
}

func FuzzBodies(f *testing.F) {
	for i, c := range bodies {
		f.Add(uint8(i), c.value.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		c := bodies[int(which)%len(bodies)]
		v, err := c.parse(b)
		if err != nil {
			return
		}
		if got := v.AppendTo(nil); !bytes.Equal(got, b) {
			t.Fatalf("%T: %x became %x", v, b, got)
		}
	})
}
