package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moothall/moothall/internal/proto"
)

const ringFile = "ring"

// Options are the less usual wishes at Open.
type Options struct {
	Forget bool // treat an unreadable or foreign record as a first start
	FS     FS   // nil: the real one
}

// Store is a locked state directory.
type Store struct {
	dir  string
	fs   FS
	lock *os.File

	wake    chan struct{} // capacity 1: there is something to write, or closing is set
	stopped chan struct{} // closed when the writer has ended

	mu      sync.Mutex // guards what follows
	pending *Record    // newest record that is not yet written
	answers []func(error)
	closing bool
	stats   Stats

	// Owned by the writer.
	file       File
	generation uint64
	next       int
	buf        []byte
	err        error
}

// Stats tell how the disk does.
type Stats struct {
	Saves   uint64        // records written
	Merged  uint64        // records that a newer one replaced before they were written
	Waiting int           // answers that are due
	Slowest time.Duration // longest write and sync
	Last    time.Duration
}

// Open locks the directory, which it creates if need be, and reads what a node
// left there. The errors name the file and what to do.
func Open(dir string, node proto.NodeID, o Options) (*Store, Found, error) {
	if o.FS == nil {
		o.FS = OS{}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, Found{}, fmt.Errorf("state directory: %w; create it for the user that runs the agent, or name another with --state", err)
	}
	lock, err := acquire(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, Found{}, err
	}
	s := &Store{dir: dir, fs: o.FS, lock: lock, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	found, err := s.read(node, o.Forget)
	if err != nil {
		lock.Close()
		return nil, Found{}, err
	}
	s.generation, s.next = found.generation, found.next
	go s.write()
	return s, found, nil
}

func (s *Store) read(node proto.NodeID, forget bool) (Found, error) {
	first := Found{First: true, Record: Record{Node: node}}
	name := filepath.Join(s.dir, ringFile)
	f, err := s.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return first, nil
	}
	if err != nil {
		return Found{}, fmt.Errorf("ring record: %w; it must be readable and writable for the user that runs the agent", err)
	}
	found, err := readSlots(f)
	if err == nil && found.Record.Node != node {
		err = fmt.Errorf("it belongs to node %d and this is node %d", found.Record.Node, node)
	}
	if err == nil {
		s.file = f
		return found, nil
	}
	f.Close()
	if forget {
		first.Note = fmt.Sprintf("the ring record is forgotten as asked for (%v)", err)
		return first, nil
	}
	return Found{}, fmt.Errorf("%s: %w; if this node shall start as if it were new, start it once with --forget-ring", name, err)
}

func readSlots(f File) (Found, error) {
	var slots [2][]byte
	for i := range slots {
		b := make([]byte, SlotSize)
		n, err := f.ReadAt(b, int64(i*SlotSize))
		if err != nil && !errors.Is(err, io.EOF) {
			return Found{}, err
		}
		slots[i] = b[:n]
	}
	return Recover(slots)
}

// Save makes a record durable and then calls done, on the store's goroutine.
// done must not block. The record's slices must not change any more.
func (s *Store) Save(r Record, done func(error)) {
	s.mu.Lock()
	closing := s.closing
	if !closing {
		if s.pending != nil {
			s.stats.Merged++
		}
		s.pending = &r
		s.answers = append(s.answers, done)
	}
	s.mu.Unlock()
	if closing {
		done(ErrClosed)
		return
	}
	s.nudge()
}

// ErrClosed answers a Save after Close.
var ErrClosed = errors.New("store: closed")

// SaveNow makes a record durable before it returns, for the start of a node.
func (s *Store) SaveNow(r Record) error {
	done := make(chan error, 1)
	s.Save(r, func(err error) { done <- err })
	return <-done
}

// Close writes what is pending and gives the directory back. It waits for the
// disk, however long that takes.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.nudge()
	<-s.stopped
	return nil
}

func (s *Store) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Stats may be called by any goroutine.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Waiting = len(s.answers)
	return st
}

// write is the only one that touches the file after Open.
func (s *Store) write() {
	defer close(s.stopped)
	defer s.lock.Close()
	for closing := false; !closing; {
		<-s.wake
		closing = s.writePending()
	}
	if s.file != nil {
		s.file.Close()
	}
}

// writePending reports whether that was the last record.
func (s *Store) writePending() (closing bool) {
	s.mu.Lock()
	r, n, closing := s.pending, len(s.answers), s.closing
	s.pending = nil
	s.mu.Unlock()
	if r == nil {
		return closing
	}
	start := time.Now()
	if s.err == nil {
		if err := s.put(*r); err != nil {
			s.err = fmt.Errorf("ring record in %s: %w", s.dir, err)
		}
	}
	took := time.Since(start)

	s.mu.Lock()
	answers := s.answers[:n:n]
	s.answers = s.answers[n:]
	s.stats.Saves++
	s.stats.Last = took
	s.stats.Slowest = max(s.stats.Slowest, took)
	s.mu.Unlock()
	for _, done := range answers {
		done(s.err)
	}
	return closing
}

func (s *Store) put(r Record) (err error) {
	s.generation++
	if s.buf, err = AppendSlot(s.buf[:0], s.generation, r); err != nil {
		return err
	}
	if s.file == nil {
		return s.create()
	}
	if _, err := s.file.WriteAt(s.buf, int64(s.next*SlotSize)); err != nil {
		return err
	}
	s.next = 1 - s.next
	return s.file.Sync()
}

// create writes both slots in full under another name first, so that the file
// never exists half made and a full disk cannot stop a later write.
func (s *Store) create() error {
	b := make([]byte, 2*SlotSize)
	copy(b, s.buf)
	copy(b[SlotSize:], s.buf)
	name := filepath.Join(s.dir, ringFile)
	f, err := s.fs.Create(name + ".new")
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(b, 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = s.fs.Rename(name+".new", name)
	}
	if err == nil {
		err = s.fs.SyncDir(s.dir)
	}
	if err == nil {
		err = s.fs.SyncDir(filepath.Dir(s.dir)) // the directory may be as new as the file
		if errors.Is(err, fs.ErrPermission) {
			err = nil // then somebody else made the directory
		}
	}
	if err != nil {
		f.Close()
		return err
	}
	s.file, s.next = f, 0
	return nil
}
