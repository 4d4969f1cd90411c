package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/node"
)

// The second counter begins with the first one's sum and adds to it.
func TestCount(t *testing.T) {
	c, err := node.StartCluster(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, second := make(watcher, 100), make(watcher, 100)
	ended := make(chan error, 2)
	go func() { ended <- count(ctx, cpg.New(c.Node(1)), strings.NewReader("40\n2\n"), first) }()
	first.until(t, "+2 makes 42\n")
	go func() { ended <- count(ctx, cpg.New(c.Node(2)), strings.NewReader("nonsense\n8\n"), second) }()
	second.until(t, "the sum so far is 42\n")
	second.until(t, "+8 makes 50\n")
	first.until(t, "+8 makes 50\n")
	cancel()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// watcher takes what is written line by line.
type watcher chan string

var _ io.Writer = watcher(nil)

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
