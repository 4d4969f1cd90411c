package bench

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

func TestEqualStreams(t *testing.T) {
	whole, err := io.ReadAll(generated(200_000))
	if err != nil || len(whole) != 200_000 {
		t.Fatalf("%d bytes, %v", len(whole), err)
	}
	for name, c := range map[string]struct {
		state []byte
		equal bool
	}{
		"the same":       {whole, true},
		"cut":            {whole[:199_999], false},
		"too long":       {append(bytes.Clone(whole), 0), false},
		"one other byte": {append(append(bytes.Clone(whole[:150_000]), whole[150_000]^1), whole[150_001:]...), false},
		"nothing":        {nil, false},
	} {
		if err := equal(iotest.HalfReader(bytes.NewReader(c.state)), generated(200_000)); (err == nil) != c.equal {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := equal(iotest.ErrReader(io.ErrNoProgress), generated(1)); err != io.ErrNoProgress {
		t.Errorf("a reader that fails: %v", err)
	}
}
