package main

import (
	"context"
	"strings"
	"testing"

	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/node"
)

// Node 1 leads until it is cut off; then it knows, and node 2 leads.
func TestFollow(t *testing.T) {
	c, err := node.StartCluster(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out []watcher
	for _, n := range c.Nodes() {
		w := make(watcher, 100)
		out = append(out, w)
		if len(out) > 1 {
			out[0].until(t, []string{"", "nobody leads: these nodes are no majority", "I lead"}[len(out)-1])
		}
		go follow(ctx, cpg.New(n), w)
	}
	out[2].until(t, "node 1 leads")
	c.Split([]cpg.NodeID{2, 3}, []cpg.NodeID{1})
	out[0].until(t, "nobody leads")
	out[1].until(t, "I lead")
	out[2].until(t, "node 2 leads")
	c.Heal()
	out[1].until(t, "node 1 leads")
}

// watcher takes what is written line by line.
type watcher chan string

func (w watcher) Write(p []byte) (int, error) { w <- string(p); return len(p), nil }

func (w watcher) until(t *testing.T, line string) {
	t.Helper()
	for {
		select {
		case got := <-w:
			if strings.HasPrefix(got, line) {
				return
			}
		case <-t.Context().Done():
			t.Fatalf("no %q", line)
		}
	}
}
