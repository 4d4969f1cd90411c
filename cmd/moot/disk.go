//go:build !faults

package main

import "github.com/moothall/moothall/internal/store"

// faultyDisk is nothing here; a build with the tag faults has one for tests.
func faultyDisk() store.FS { return nil }
