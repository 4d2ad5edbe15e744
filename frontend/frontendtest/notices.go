package frontendtest

import (
	"context"
	"sync"

	"github.com/stella-ops/exportcenter/export"
)

// Notices keeps notices in memory.
type Notices struct {
	mu  sync.Mutex
	all []export.Notice
}

// Notice implements storage.Notices.
func (s *Notices) Notice(_ context.Context, n export.Notice) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range s.all {
		if known.EventID == n.EventID {
			return nil
		}
	}
	s.all = append(s.all, n)
	return nil
}

// All lists what was recorded.
func (s *Notices) All() []export.Notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]export.Notice(nil), s.all...)
}
