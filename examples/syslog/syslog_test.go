package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moothall/moothall/service"
	"github.com/moothall/moothall/service/servicetest"
)

// Lines of all nodes have one order; a side of a split writes its own, and the
// remarks stand at the same place among the lines of all who see them.
func TestOneOrder(t *testing.T) {
	books := map[servicetest.NodeID]*book{}
	c := servicetest.New(t, 3, func(id servicetest.NodeID) []service.Service {
		books[id] = newBook()
		return []service.Service{&syslog{out: books[id]}}
	})
	c.Split(c.All())
	c.Run()
	log := func(id servicetest.NodeID, line string) {
		if a := c.Node(id).Open(41).Call(callLog, []byte(line)); a.Done && a.Code != service.OK {
			t.Errorf("node %d, %q: %v", id, line, a.Code)
		}
	}
	for id := range books {
		log(id, "hello")
	}
	c.Run()
	start := books[1].String()[strings.Index(books[1].String(), "-- node1, node2, node3"):]
	for id, b := range books {
		if !strings.HasSuffix(b.String(), start) || b.lines != 3 {
			t.Errorf("node %d:\n%s\nnode 1:\n%s", id, b, books[1])
		}
	}
	c.Split([]servicetest.NodeID{1, 2}, []servicetest.NodeID{3})
	c.Run()
	log(1, "left \"behind\"\n")
	log(3, "alone")
	c.Run()
	want := start + "-- node1, node2 go on together\n-- node1, node2 write\nnode1: \"left \\\"behind\\\"\\n\"\n"
	for id := range servicetest.NodeID(2) {
		if b := books[id+1]; !strings.HasSuffix(b.String(), want) {
			t.Errorf("node %d:\n%s\nwant\n%s", id+1, b, want)
		}
	}
	if b := books[3]; !strings.HasSuffix(b.String(), "-- node3 go on together\n-- node3 write\nnode3: \"alone\"\n") {
		t.Errorf("node 3:\n%s", b)
	}
	if a := c.Node(1).Open(41).Call(callLog, make([]byte, maxText+1)); a.Code != service.ErrInvalidParam {
		t.Errorf("a long line: %v", a.Code)
	}
}

func TestShow(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out strings.Builder
	if err := show(ctx, &out); err != nil {
		t.Fatal(err)
	}
	logs := strings.Split(out.String(), "wrote\n")[1:]
	if len(logs) != 3 {
		t.Fatal(out.String())
	}
	lines := func(s string) []string {
		return slices.DeleteFunc(strings.Split(s, "\n"), func(l string) bool { return !strings.HasPrefix(l, "n") || strings.HasPrefix(l, "node") })
	}
	for _, l := range logs {
		if got := lines(l); !slices.Equal(got, lines(logs[0])) || len(got) != 9 {
			t.Errorf("got %q, another node %q", got, lines(logs[0]))
		}
	}
}
