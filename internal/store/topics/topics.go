// Package topics keeps what the event service must not forget, durable topics for the
// most part, in one file of the state directory, a bbolt database, which is there once
// there was something to keep.
//
// Write never waits for the disk. A goroutine writes what has come meanwhile in one
// transaction, which is durable when it is done: the file is synced each time.
// What waits is one value a key at most, so it is no more than the service holds
// itself. After an error nothing is written any more.
//
// A file that can not be read is an error and stays as it is. It may be moved
// away while the agent does not run: the other members have the same topics.
package topics

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/moothall/moothall/internal/service/events"
	"github.com/moothall/moothall/internal/store"
)

// File is the name of the database in the state directory.
const File = "topics.db"

// bucket has all keys.
var bucket = []byte("events-3")

// lockTime is how long the file may be locked by somebody else.
const lockTime = time.Second

// Store is one database. Its methods may be called by several goroutines.
type Store struct {
	path string

	mu      sync.Mutex // guards what follows, but db while working
	idle    sync.Cond  // of mu: not working any more
	db      *bbolt.DB  // nil: the file is not open yet
	waiting map[string][]byte
	done    []func()
	working bool
	closed  bool
	err     error
	failed  func(error)
}

var errClosed = errors.New("closed")

// Open opens the database of a state directory if there is one. failed hears once,
// on another goroutine, that nothing can be written any more.
func Open(dir string, failed func(error)) (*Store, error) {
	s := &Store{path: filepath.Join(dir, File), waiting: map[string][]byte{}, failed: failed}
	s.idle.L = &s.mu
	_, err := os.Stat(s.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return s, nil
	case err == nil:
		err = guarded(s.open)
	}
	return s, s.explain(err)
}

// explain says of an error which file it is about, and what helps.
func (s *Store) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("durable topics: %s: another process has it open: end that one", s.path)
	}
	return fmt.Errorf("durable topics: %s: %w: if the file is damaged, move it away, the other members have the same topics; if the disk is full, make room", s.path, err)
}

// open opens the file, or makes it.
func (s *Store) open() error {
	db, err := bbolt.Open(s.path, 0o600, &bbolt.Options{Timeout: lockTime})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	if err == nil {
		err = store.OS{}.SyncDir(filepath.Dir(s.path))
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	s.db = db
	return nil
}

// guarded makes an error of what a damaged file has the database do.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it is damaged: %v", p)
		}
	}()
	return f()
}

// Size is how large the file is, zero without one.
func (s *Store) Size() int64 {
	st, err := os.Stat(s.path)
	if err != nil {
		return 0
	}
	return st.Size()
}

// Load implements events.Store. It waits for what was written before.
func (s *Store) Load(each func(key, value []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.working {
		s.idle.Wait()
	}
	if s.err != nil || s.db == nil {
		return s.err
	}
	err := guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucket)
			if b == nil {
				return errors.New("it has no topics: it is another program's")
			}
			return b.ForEach(each)
		})
	})
	return s.explain(err)
}

// Save implements events.Store. It waits for what was written before.
func (s *Store) Save(batch []events.Write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.working {
		s.idle.Wait()
	}
	if s.err == nil {
		values := map[string][]byte{}
		for _, w := range batch {
			values[string(w.Key)] = w.Value
		}
		s.err = s.explain(guarded(func() error { return s.commit(values) }))
	}
	return s.err
}

// Write implements events.Store.
func (s *Store) Write(batch []events.Write, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.err != nil {
		return
	}
	for _, w := range batch {
		s.waiting[string(w.Key)] = w.Value
	}
	if done != nil {
		s.done = append(s.done, done)
	}
	if !s.working {
		s.working = true
		go s.work()
	}
}

// work writes until nothing waits.
func (s *Store) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && len(s.waiting)+len(s.done) > 0 {
		batch, done := s.waiting, s.done
		s.waiting, s.done = map[string][]byte{}, nil
		s.mu.Unlock()
		err := guarded(func() error { return s.commit(batch) })
		if err == nil {
			for _, f := range done {
				f()
			}
		}
		s.mu.Lock()
		if err != nil {
			s.err = s.explain(err)
			s.waiting, s.done = nil, nil
			go s.failed(s.err)
		}
	}
	s.working = false
	s.idle.Broadcast()
}

// commit makes changes durable, all or none.
func (s *Store) commit(batch map[string][]byte) error {
	if s.db == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		for k, v := range batch {
			err := error(nil)
			if v == nil {
				err = b.Delete([]byte(k))
			} else {
				err = b.Put([]byte(k), v)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Close writes what waits and closes the file.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for s.working {
		s.idle.Wait()
	}
	if s.err == nil {
		s.err = errClosed
	}
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	return guarded(db.Close)
}
