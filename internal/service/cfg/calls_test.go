package cfg

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type appender interface{ AppendTo([]byte) []byte }

// again parses a body and encodes it again.
type again func(b []byte) (appender, error)

func parser[T appender](parse func([]byte) (T, error)) again {
	return func(b []byte) (appender, error) { return parse(b) }
}

// The messages between members, as bodies.
func (a attempt) AppendTo(b []byte) []byte { return a.append(b) }
func (v verdict) AppendTo(b []byte) []byte { return v.append(b) }

var bodies = []struct {
	value appender
	parse again
}{
	{NodeRequest{7}, parser(ParseNodeRequest)},
	{KillRequest{7, "why not"}, parser(ParseKill)},
	{ShutdownRequest{Regardless}, parser(ParseShutdownRequest)},
	{VoteRequest{true}, parser(ParseVote)},
	{Shutdown{Regardless, true}, parser(ParseShutdown)},
	{NodeStatus{3, true, []Link{{0, true, 1446, "192.0.2.1", "192.0.2.3"}, {7, false, 0, "", "2001:db8::3"}}}, parser(ParseNode)},
	{Rings{[]Ring{{0, "192.0.2.1", "n31"}, {1, "2001:db8::1", strings.Repeat("3", 1000)}}}, parser(ParseRings)},
	{attempt{3, 9}, parser(parseAttempt)},
	{verdict{attempt{3, 9}, "corosync.conf:3:1: no"}, parser(parseVerdict)},
}

func TestBodies_RoundTrip(t *testing.T) {
	for _, c := range bodies {
		b := c.value.AppendTo(nil)
		got, err := c.parse(b)
		if err != nil {
			t.Errorf("%T: %v", c.value, err)
			continue
		}
		if diff := cmp.Diff(c.value, got, cmp.AllowUnexported(attempt{}, verdict{})); diff != "" {
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
