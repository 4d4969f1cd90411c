// Package kv is a key-value store that looks like one copy although every node
// has its own: reads and writes are safe messages, and an answer counts only if
// it was found where a majority has the state.
package kv

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/moothall/moothall/cpg"
)

// ErrUnknown: the operation may have happened, or may still happen.
// ErrMinority: it has not and will not.
var (
	ErrUnknown  = errors.New("kv: no majority was there to the end, the outcome is not known")
	ErrMinority = errors.New("kv: no majority of the nodes has the state")
)

// Op is one operation: a get, or a put if Put is set, which happens only if the
// value was Old before when If is set.
type Op struct {
	Key, Value, Old string
	Put, If         bool
}

// Result is what an operation found, and whether it put a value.
type Result struct {
	Value string
	Done  bool
}

// Store is one node's copy. Do may be called by several goroutines.
type Store struct {
	*cpg.Member
	mu       sync.Mutex // guards what follows
	data     map[string]string
	majority bool
	found    map[string]chan *Result // of own operations, by the text of their message; nil: without a majority
	ops      uint64
}

// Join makes this node's copy. Start it with go store.Run(ctx, store).
func Join(ctx context.Context, c *cpg.Client) (*Store, error) {
	m, err := c.Join(ctx, "kv", cpg.JoinConfig{Stateful: true})
	return &Store{Member: m, data: map[string]string{}, found: map[string]chan *Result{}}, err
}

// Do does one operation. After any error but ErrMinority it may have happened.
func (s *Store) Do(ctx context.Context, op Op) (Result, error) {
	s.mu.Lock()
	if !s.majority {
		s.mu.Unlock()
		return Result{}, ErrMinority
	}
	s.ops++
	body, err := json.Marshal(struct {
		Op
		N uint64
	}{op, s.ops})
	found := make(chan *Result, 1)
	s.found[string(body)] = found
	s.mu.Unlock()
	defer func() { s.mu.Lock(); delete(s.found, string(body)); s.mu.Unlock() }()
	if err != nil {
		return Result{}, err
	}
	where, err := s.SendSafe(ctx, body)
	if err != nil || where.Transitional {
		return Result{}, errors.Join(ErrUnknown, err)
	}
	select {
	case r := <-found:
		if r != nil {
			return *r, nil
		}
		return Result{}, ErrUnknown
	case <-ctx.Done():
		return Result{}, errors.Join(ErrUnknown, ctx.Err())
	}
}
