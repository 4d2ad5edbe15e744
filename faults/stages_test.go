package faults

import (
	"context"
	"sync"

	"github.com/stella-ops/exportcenter/internal/fault"
	"github.com/stella-ops/exportcenter/storage"
)

// stages lets a life make files until it is gone: one that came after the next
// life has swept would be nobody's.
type stages struct {
	storage.Objects
	mu   sync.RWMutex
	gone bool
}

func (s *stages) Stage(ctx context.Context, tenant string) (storage.Staged, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.gone {
		return nil, fault.ErrDead
	}
	return s.Objects.Stage(ctx, tenant)
}

// end waits for files that are being made, and lets no other be.
func (s *stages) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
}
