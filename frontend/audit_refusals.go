package frontend

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/audit"
)

// refusalsEvery is how often refused calls that are only counted are written down.
const refusalsEvery = 10 * time.Second

// maxRefusals bounds the sorts of such calls that are remembered between two
// writes; what is beyond counts as unknown.
const maxRefusals = 1024

// refusals counts refused calls that are not worth an entry each: those of which
// nobody has proved whose they are, and those that somebody makes all the time. One
// entry stands for many, or anybody could fill the disk with what cannot be removed.
type refusals struct {
	pen *auditPen
	log *slog.Logger

	mu      sync.Mutex
	counted map[refusal]audit.Entry
	timer   *time.Timer // runs while something is counted
}

// refusal is a sort of refused calls.
type refusal struct {
	tenant, of, subject, operation, method, code string
	status                                       int
}

func newRefusals(pen *auditPen, log *slog.Logger) *refusals {
	return &refusals{pen: pen, log: log, counted: map[refusal]audit.Entry{}}
}

// note counts a refused call.
func (r *refusals) note(e audit.Entry) {
	if e.Tenant == "" {
		e.Tenant = audit.Installation
	}
	e.Path, e.Reason, e.Ticket = "", "", "" // those of one call, and the caller's words
	sort := refusal{e.Tenant, e.Of, e.Subject, e.Operation, e.Method, e.Code, e.Status}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.counted[sort]; !known && len(r.counted) >= maxRefusals {
		sort = refusal{}
		e.Tenant, e.Of, e.Subject, e.Project, e.Operation, e.Method = audit.Installation, "", "", "", "", "other"
	}
	if first, known := r.counted[sort]; known {
		first.Count++
		r.counted[sort] = first
		return
	}
	e.Count = 1
	r.counted[sort] = e
	if r.timer == nil {
		r.timer = time.AfterFunc(refusalsEvery, r.flush)
	}
}

// flush writes what was counted, tenant by tenant.
func (r *refusals) flush() {
	r.mu.Lock()
	byTenant := map[string][]audit.Entry{}
	for _, e := range r.counted {
		byTenant[e.Tenant] = append(byTenant[e.Tenant], e)
	}
	r.counted = map[refusal]audit.Entry{}
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.mu.Unlock()
	for tenant, entries := range byTenant {
		ctx, cancel := context.WithTimeout(context.Background(), auditPatience)
		if err := r.pen.record.Append(ctx, tenant, entries); err != nil {
			r.log.LogAttrs(ctx, slog.LevelError, "refused calls are not in the audit record",
				slog.String("tenant", tenant), slog.Int("sorts", len(entries)), slog.Any("error", err))
		}
		cancel()
	}
}
