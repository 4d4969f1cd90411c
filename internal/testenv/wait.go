package testenv

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const poll = 10 * time.Millisecond

// Eventually waits until ok answers true. If that takes longer than within, the
// test fails with the last state that ok reported.
func Eventually(t testing.TB, within time.Duration, what string, ok func() (bool, any)) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		done, state := ok()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v; last seen: %v", what, within, state)
		}
		time.Sleep(poll)
	}
}

var update = flag.Bool("update", false, "rewrite golden files")

// Updating reports whether golden files are to be rewritten.
func Updating() bool { return *update }

// Golden compares with a file below testdata, which -update rewrites.
func Golden(t testing.TB, name string, got []byte) {
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
		t.Errorf("%s differs; run go test -update and read the diff\n got:\n%s\nwant:\n%s", path, got, want)
	}
}
