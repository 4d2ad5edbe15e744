package fault

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/orchestrator"
	"github.com/stella-ops/exportcenter/storage"
)

// OrchestratorExports passes reports of exports to inner through their point.
func (i *Injector) OrchestratorExports(inner storage.OrchestratorExports) storage.OrchestratorExports {
	return &reports{i, inner}
}

type reports struct {
	injector *Injector
	inner    storage.OrchestratorExports
}

func (r *reports) Record(ctx context.Context, tenant, project string, report orchestrator.Record, by string, at time.Time) (stored orchestrator.Record, verdict orchestrator.Verdict, err error) {
	stored, err = answer(ctx, r.injector, RecordExport, func(ctx context.Context) (there orchestrator.Record, err error) {
		there, verdict, err = r.inner.Record(ctx, tenant, project, report, by, at)
		return there, err
	})
	if err != nil {
		verdict = ""
	}
	return stored, verdict, err
}

func (r *reports) Exports(ctx context.Context, tenant, project string, f storage.OrchestratorFilter) (page []orchestrator.Record, next string, err error) {
	page, err = read(r.injector, func() (found []orchestrator.Record, err error) {
		found, next, err = r.inner.Exports(ctx, tenant, project, f)
		return found, err
	})
	return page, next, err
}
