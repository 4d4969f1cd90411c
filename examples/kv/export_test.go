package kv

// Peek answers from this copy alone.
func (s *Store) Peek(key string) Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Result{Value: s.data[key]}
}
