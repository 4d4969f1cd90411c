package servicetest

import (
	"bytes"
	"reflect"
	"testing"
)

// Appender is a body that can be encoded.
type Appender interface{ AppendTo([]byte) []byte }

// Body is an example of a service's calls, answers, events and messages, and
// what parses it.
type Body struct {
	Value Appender
	Parse func([]byte) (Appender, error)
	Open  bool // ends in free bytes, so a shorter body may be valid
}

// A is a body whose length follows from what is in it.
func A[T Appender](v T, parse func([]byte) (T, error)) Body {
	return Body{Value: v, Parse: func(b []byte) (Appender, error) { return parse(b) }}
}

// Open is a body that ends in free bytes.
func Open[T Appender](v T, parse func([]byte) (T, error)) Body {
	b := A(v, parse)
	b.Open = true
	return b
}

// RoundTrip encodes and parses the bodies, and wants errors for shorter ones.
func RoundTrip(t *testing.T, bodies []Body) {
	t.Helper()
	for _, c := range bodies {
		b := c.Value.AppendTo(nil)
		got, err := c.Parse(b)
		if err != nil {
			t.Errorf("%T: %v", c.Value, err)
			continue
		}
		if !reflect.DeepEqual(got, c.Value) {
			t.Errorf("%T: %+v became %+v", c.Value, c.Value, got)
		}
		for n := range b {
			if _, err := c.Parse(b[:n]); err == nil && !c.Open {
				t.Errorf("%T: %d of %d bytes accepted", c.Value, n, len(b))
			}
		}
	}
}

// FuzzBodies gives any bytes to the parsers. What one accepts has no other form.
func FuzzBodies(f *testing.F, bodies []Body) {
	for i, c := range bodies {
		f.Add(uint8(i), c.Value.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		v, err := bodies[int(which)%len(bodies)].Parse(b)
		if err != nil {
			return
		}
		if got := v.AppendTo(nil); !bytes.Equal(got, b) {
			t.Fatalf("%T: %x became %x", v, b, got)
		}
	})
}
