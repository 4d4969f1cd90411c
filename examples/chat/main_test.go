package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/moothall/moothall/cpg"
	"github.com/moothall/moothall/node"
)

func TestChat(t *testing.T) {
	c, err := node.StartCluster(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out bytes.Buffer
	if err := chat(t.Context(), cpg.New(c.Node(1)), "anna", strings.NewReader("hello\nbye\n"), &out); err != nil {
		t.Fatal(err)
	}
	if want := "* anna came (join)\nanna: hello\nanna: bye\n"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("%q, want %q", out.String(), want)
	}
	c.Kill(1)
	if err := chat(t.Context(), cpg.New(c.Node(1+1)), "bert", strings.NewReader(""), io.Discard); err != nil {
		t.Errorf("with the other node dead: %v", err)
	}
}
