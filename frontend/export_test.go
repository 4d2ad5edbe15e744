package frontend

// HeldByImports is what the batches of all imports hold, in bytes.
func HeldByImports(s *Server) int64 { return s.imports.held.Load() }

// AcceptedTokens is how many tokens v remembers.
func AcceptedTokens(v *JWTVerifier) int { return len(v.accepted.recent.places) }

// OpenStreams is how many event streams are open.
func OpenStreams(s *Server) int {
	s.events.mu.Lock()
	defer s.events.mu.Unlock()
	return s.events.open
}

// WriteRefusals writes down what was counted of refused calls.
func WriteRefusals(s *Server) { s.refusals.flush() }

// WaitingForRecord is how many of a tenant's calls wait to be written together.
func WaitingForRecord(s *Server, tenant string) int {
	s.pen.mu.Lock()
	defer s.pen.mu.Unlock()
	if page := s.pen.open[tenant]; page != nil {
		return len(page.entries)
	}
	return 0
}
