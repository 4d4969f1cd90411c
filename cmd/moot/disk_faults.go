//go:build faults

package main

import (
	"os"

	"github.com/moothall/moothall/internal/store"
	"github.com/moothall/moothall/internal/store/diskfault"
)

// faultyDisk does what the file named by MOOTHALL_TEST_DISK says at the moment:
// slow=5s, eio, enospc or torn=BYTES; all is well while the file is not there.
func faultyDisk() store.FS {
	name := os.Getenv("MOOTHALL_TEST_DISK")
	if name == "" {
		return nil
	}
	return diskfault.FromFile(name)
}
