package store

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// FS is what a Store asks of the file system, so that tests can put a faulty
// disk underneath.
type FS interface {
	Open(name string) (File, error)   // read and write an existing file
	Create(name string) (File, error) // new or emptied, mode 0600
	Rename(from, to string) error
	SyncDir(name string) error
}

// File is one open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	Sync() error // data and size, not the time stamps
	io.Closer
}

// OS is the real file system.
type OS struct{}

// Open opens an existing file for reading and writing.
func (OS) Open(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Create opens an empty file.
func (OS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Rename moves a file over another.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// SyncDir makes the names in a directory durable.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

type osFile struct{ *os.File }

func (f osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}
