package storage

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/orchestrator"
)

// OrchestratorExports are the records of exports that orchestrators report.
type OrchestratorExports interface {
	// Record stores r, which has been checked and is in its normal form, and its
	// events, in one transaction, as its verdict says: a new record and one that
	// advances are stored; of a duplicate and a mismatch nothing is. The record
	// that is stored then is returned. A tenant whose records take as much as they may is
	// refused with a *QuotaReached.
	Record(ctx context.Context, tenant, project string, r orchestrator.Record, by string, at time.Time) (orchestrator.Record, orchestrator.Verdict, error)
	// Exports gives a page of records in the order (runId, startedAt, key), and
	// the cursor of the next ("" at the end).
	Exports(ctx context.Context, tenant, project string, f OrchestratorFilter) ([]orchestrator.Record, string, error)
}

// OrchestratorFilter narrows a list of records.
type OrchestratorFilter struct {
	RunID        string // "" = any
	ArtifactHash string // in lower case; "" = any
	Status       orchestrator.Status
	Limit        int    // 1..200
	Cursor       string // "" = the first page
}
