package capi_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A program in C and one in Go are in one election: they vote on each other's coming
// and going, and read each other's state value.
func TestLeaderExample_InCAndInGo(t *testing.T) {
	inC := program(t, memory, "../examples/gsleader-c/leader.c")
	inGo := filepath.Join(t.TempDir(), "gsleader")
	run(t, exec.Command("go", "build", "-o", inGo, "../examples/gsleader"))
	h := agents(t, 3)
	first, _ := h.client(1, inC, "demo", "7")
	first.WaitOutput(patience, "record is 7/1")
	second, _ := h.client(2, inGo)
	second.WaitOutput(patience, "7/1 leads")
	third, _ := h.client(3, inC, "demo", "7")
	third.WaitOutput(patience, "leader is 7/1")
	first.Signal(os.Kill)
	second.WaitOutput(patience, "1/2 leads")
	third.WaitOutput(patience, "record is 1/2")
	second.Signal(os.Kill)
	third.WaitOutput(patience, "record is 7/3")
}
