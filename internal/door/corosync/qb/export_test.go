package qb

// Pulled is the number of connections that are left to Pull; for the owner.
func (s *Server) Pulled() int { return len(s.puller.conns) }
