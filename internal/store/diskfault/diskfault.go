// Package diskfault is a file system with a bad day, for tests of what stands
// on internal/store.
package diskfault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moothall/moothall/internal/store"
)

// Fault is what goes wrong with the next operations.
type Fault struct {
	Slow time.Duration // each sync takes this long
	Sync error         // what a sync answers after that, nil: it works
	Full bool          // writes fail with ENOSPC
	Torn int           // writes put only this many bytes on the disk and fail; zero: no
}

// Parse reads "", "slow=5s", "eio", "enospc" or "torn=100", as they stand in
// the control file of FromFile.
func Parse(s string) (Fault, error) {
	name, value, _ := strings.Cut(strings.TrimSpace(s), "=")
	switch name {
	case "":
		return Fault{}, nil
	case "slow":
		d, err := time.ParseDuration(value)
		return Fault{Slow: d}, err
	case "eio":
		return Fault{Sync: unix.EIO}, nil
	case "enospc":
		return Fault{Full: true}, nil
	case "torn":
		var f Fault
		_, err := fmt.Sscan(value, &f.Torn)
		return f, err
	}
	return Fault{}, fmt.Errorf("diskfault: unknown fault %q, want slow=DURATION, eio, enospc or torn=BYTES", s)
}

// FS wraps a file system. Now is asked before each operation.
type FS struct {
	store.FS
	Now func() Fault
}

// FromFile takes the present fault from the text of a file, so that a test can
// change it while a process runs. Without that file all is well.
func FromFile(name string) FS {
	return FS{store.OS{}, func() Fault {
		b, err := os.ReadFile(name)
		if err != nil {
			return Fault{}
		}
		f, err := Parse(string(b))
		if err != nil {
			return Fault{Sync: err}
		}
		return f
	}}
}

// Open opens a file with faults.
func (f FS) Open(name string) (store.File, error) { return f.wrap(f.FS.Open(name)) }

// Create creates a file with faults.
func (f FS) Create(name string) (store.File, error) { return f.wrap(f.FS.Create(name)) }

// SyncDir fails like the sync of a file.
func (f FS) SyncDir(name string) error {
	if err := f.Now().sync(); err != nil {
		return &os.PathError{Op: "sync", Path: filepath.Clean(name), Err: err}
	}
	return f.FS.SyncDir(name)
}

func (f FS) wrap(under store.File, err error) (store.File, error) {
	if err != nil {
		return nil, err
	}
	return file{under, f.Now}, nil
}

func (f Fault) sync() error {
	time.Sleep(f.Slow)
	return f.Sync
}

type file struct {
	store.File
	now func() Fault
}

var errTorn = errors.New("torn write")

func (f file) WriteAt(b []byte, off int64) (int, error) {
	fault := f.now()
	switch {
	case fault.Full:
		return 0, unix.ENOSPC
	case fault.Torn > 0:
		n, err := f.File.WriteAt(b[:min(fault.Torn, len(b))], off)
		return n, errors.Join(errTorn, err)
	}
	return f.File.WriteAt(b, off)
}

func (f file) Sync() error {
	if err := f.now().sync(); err != nil {
		return err
	}
	return f.File.Sync()
}
