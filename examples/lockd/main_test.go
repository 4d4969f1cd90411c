package main

import (
	"context"
	"io"
	"testing"

	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/node"
)

// A lock goes to the next in line when it is given back, and when its holder
// dies.
func TestLockd(t *testing.T) {
	c, err := node.StartCluster(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var in []io.Writer
	var out []watcher
	for _, n := range c.Nodes() {
		r, w := io.Pipe()
		lines := make(watcher, 100)
		in, out = append(in, w), append(out, lines)
		go lockd(ctx, cpg.New(n), r, lines)
		io.WriteString(w, "lock own\n")
		if len(out) == 3 {
			lines.until(t, "own is yours\n")
		}
		io.WriteString(w, "unlock own\n")
	}
	io.WriteString(in[0], "lock tape\n")
	out[0].until(t, "tape is yours\n")
	io.WriteString(in[1], "lock tape\n")
	io.WriteString(in[1], "lock sign\n")
	out[1].until(t, "sign is yours\n") // so it stands in line for the tape
	io.WriteString(in[2], "lock tape\n")
	io.WriteString(in[0], "unlock tape\n")
	out[0].until(t, "tape is not yours any more\n")
	out[1].until(t, "tape is yours\n")
	c.Kill(2)
	out[2].until(t, "tape is yours\n")
}

// watcher takes what is written line by line.
type watcher chan string

func (w watcher) Write(p []byte) (int, error) { w <- string(p); return len(p), nil }

func (w watcher) until(t *testing.T, line string) {
	t.Helper()
	for {
		select {
		case got := <-w:
			if got == line {
				return
			}
		case <-t.Context().Done():
			t.Fatalf("no %q", line)
		}
	}
}
