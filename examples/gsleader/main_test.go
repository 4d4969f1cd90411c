package main

import (
	"context"
	"errors"
	"testing"

	"github.com/moothall/moothall/groups"
	"github.com/moothall/moothall/node"
)

// The oldest leads; when it goes, the next one does.
func TestElect(t *testing.T) {
	c, err := node.StartCluster(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var outs []watcher
	var stops []context.CancelFunc
	ended := make(chan error, 3)
	for i, n := range c.Nodes() {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		stops = append(stops, stop)
		outs = append(outs, make(watcher, 100))
		go func() { ended <- elect(ctx, groups.New(n), outs[i]) }()
		if i == 0 {
			outs[0].until(t, "1/1 leads\n")
			continue
		}
		candidates(t, n, i+1)
	}
	stop := func(i int) {
		t.Helper()
		stops[i]()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	stop(0)
	outs[1].until(t, "1/2 leads\n")
	outs[2].until(t, "1/2 leads\n")
	stop(1)
	outs[2].until(t, "1/3 leads\n")
}

// candidates waits until there are so many.
func candidates(t *testing.T, n *node.Node, want int) {
	t.Helper()
	s, err := groups.New(n).Subscribe(t.Context(), "demo", groups.WantMembership)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for ch, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if len(ch.Members) == want {
			return
		}
	}
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
