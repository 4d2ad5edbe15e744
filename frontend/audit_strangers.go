package frontend

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/audit"
)

// strangersEvery is how often calls of nobody's are written down, and a bound of
// how long one is only remembered.
const strangersEvery = 10 * time.Second

// maxStrangers bounds the sorts of such calls that are remembered between two
// writes: operations times methods times codes; what is beyond counts as unknown.
const maxStrangers = 1024

// strangers counts refused calls of which nobody has proved whose they are, by
// operation and code, and writes them into the installation's record: one entry
// for many, or anybody could fill the disk.
type strangers struct {
	pen *auditPen
	log *slog.Logger

	mu      sync.Mutex
	counted map[strangerSort]audit.Entry
	timer   *time.Timer // runs while something is counted
}

type strangerSort struct {
	operation, method, code string
	status                  int
}

func newStrangers(pen *auditPen, log *slog.Logger) *strangers {
	return &strangers{pen: pen, log: log, counted: map[strangerSort]audit.Entry{}}
}

// note counts a refused call.
func (s *strangers) note(e audit.Entry) {
	e.Tenant = audit.Installation
	sort := strangerSort{e.Operation, e.Method, e.Code, e.Status}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.counted) >= maxStrangers {
		if _, known := s.counted[sort]; !known {
			sort, e.Operation, e.Method = strangerSort{}, "", ""
		}
	}
	if first, known := s.counted[sort]; known {
		first.Count++
		s.counted[sort] = first
		return
	}
	e.Count = 1
	s.counted[sort] = e
	if s.timer == nil {
		s.timer = time.AfterFunc(strangersEvery, s.flush)
	}
}

// flush writes what was counted.
func (s *strangers) flush() {
	s.mu.Lock()
	counted := s.counted
	s.counted = map[strangerSort]audit.Entry{}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), auditPatience)
	defer cancel()
	var written sync.WaitGroup
	for _, e := range counted {
		written.Go(func() {
			if err := s.pen.write(ctx, e); err != nil {
				s.log.LogAttrs(ctx, slog.LevelError, "refused calls are not in the audit record",
					slog.String("operation", e.Operation), slog.Int64("count", e.Count), slog.Any("error", err))
			}
		})
	}
	written.Wait()
}
