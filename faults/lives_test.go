package faults

import (
	"context"

	"github.com/stella-ops/exportcenter/internal/fault"
)

// live begins a life.
func (s *scene) live(ctx context.Context, injector *fault.Injector) error {
	l, err := s.begin(ctx, injector)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.lost = err
	} else {
		s.alive, s.lives = l, append(s.lives, l)
	}
	close(s.born)
	return err
}

// rebirth is called when a life has crashed: its connections and locks end, and
// the next one begins, without a fault.
func (s *scene) rebirth(ctx context.Context) {
	s.mu.Lock()
	dead := s.alive
	s.alive, s.born = nil, make(chan struct{})
	s.mu.Unlock()
	dead.cut(s.blobs)
	s.live(ctx, fault.New(fault.Fault{}, nil)) //nolint:errcheck // whoever waits for it is told
}

// now gives the life that is, and waits for it between two.
func (s *scene) now(ctx context.Context) (*life, error) {
	for {
		s.mu.Lock()
		alive, born, lost := s.alive, s.born, s.lost
		s.mu.Unlock()
		if alive != nil || lost != nil {
			return alive, lost
		}
		select {
		case <-born:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// over ends all lives; what stands still in dead ones goes.
func (s *scene) over() {
	s.mu.Lock()
	lives := s.lives
	s.mu.Unlock()
	for _, l := range lives {
		l.injector.Release()
	}
	for _, l := range lives {
		l.end()
	}
}
