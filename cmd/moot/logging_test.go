package main

import (
	"os"
	"syscall"
	"testing"
)

// What happens to whoever reads the log is no reason to leave the cluster.
func TestAgentOutlivesReaderOfItsLog(t *testing.T) {
	h := newHall(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	read.Close()
	anna := h.agents[0]
	anna.startLoggingTo(write)
	h.agents[1].start()
	h.formed(1, 2)
	anna.process.Signal(syscall.SIGTERM)
	if code := anna.process.Wait(patience); code != exitOK {
		t.Errorf("exit status %d", code)
	}
}
