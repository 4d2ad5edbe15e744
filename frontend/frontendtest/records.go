package frontendtest

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/orchestrator"
	"github.com/stella-ops/exportcenter/storage"
)

// Records is storage.OrchestratorExports in memory.
type Records struct {
	mu      sync.Mutex
	records map[recordKey]orchestrator.Record
	// Events are those of records that were stored, in order.
	Events []orchestrator.Event
}

type recordKey struct{ tenant, project, key string }

var _ storage.OrchestratorExports = (*Records)(nil)

// NewRecords makes an empty store.
func NewRecords() *Records { return &Records{records: map[recordKey]orchestrator.Record{}} }

// Record implements storage.OrchestratorExports.
func (s *Records) Record(_ context.Context, tenant, project string, r orchestrator.Record, _ string, at time.Time) (orchestrator.Record, orchestrator.Verdict, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := recordKey{tenant, project, r.IdempotencyKey}
	stored, known := s.records[key]
	verdict := orchestrator.Created
	if known {
		verdict = orchestrator.Follow(stored, r)
	}
	if verdict == orchestrator.Duplicate || verdict == orchestrator.Mismatch {
		return stored, verdict, nil
	}
	events, err := orchestrator.Events(r, verdict, project, at)
	if err != nil {
		return r, "", err
	}
	s.records[key] = r
	s.Events = append(s.Events, events...)
	return r, verdict, nil
}

// Exports implements storage.OrchestratorExports; its cursors are positions.
func (s *Records) Exports(_ context.Context, tenant, project string, f storage.OrchestratorFilter) ([]orchestrator.Record, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []orchestrator.Record
	is := func(want, value string) bool { return want == "" || want == value }
	for key, r := range s.records {
		if key.tenant == tenant && is(project, key.project) && is(f.RunID, r.RunID) && is(f.ArtifactHash, r.ArtifactHash) && is(string(f.Status), string(r.Status)) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b orchestrator.Record) int {
		return cmp.Or(cmp.Compare(a.RunID, b.RunID), a.Started().Compare(b.Started()), cmp.Compare(a.IdempotencyKey, b.IdempotencyKey))
	})
	from := 0
	if f.Cursor != "" {
		n, err := strconv.Atoi(f.Cursor)
		if err != nil || n < 0 || n > len(all) {
			return nil, "", export.Errorf(export.CodeValidation, "cursor: is not the cursor of a page")
		}
		from = n
	}
	to := min(from+f.Limit, len(all))
	if to < len(all) {
		return all[from:to], strconv.Itoa(to), nil
	}
	return all[from:to], "", nil
}
