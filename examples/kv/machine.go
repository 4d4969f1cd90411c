package kv

import (
	"encoding/json"
	"io"

	"github.com/moothall/moothall/cpg"
)

// Apply does an operation. Every copy does the same; the one that asked answers.
func (s *Store) Apply(m cpg.Message) {
	var op Op
	if json.Unmarshal(m.Body, &op) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Result{Value: s.data[op.Key]}
	if op.Put && (!op.If || r.Value == op.Old) {
		s.data[op.Key], r.Done = op.Value, true
	}
	if !s.majority {
		r = nil
	}
	if found := s.found[string(m.Body)]; m.Own && found != nil {
		found <- r
	}
}

// SetView notes whether a majority has the state.
func (s *Store) SetView(v cpg.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.majority = v.Majority
}

// Snapshot gives all keys.
func (s *Store) Snapshot() (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cpg.JSON(s.data)
}

// Restore takes those of another copy.
func (s *Store) Restore(r io.Reader) error {
	data := map[string]string{}
	err := cpg.FromJSON(r, &data)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = data
	return err
}
