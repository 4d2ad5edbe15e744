package frontend

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// GetRunPlan gives a page of a run's stored plan. The cursor is the ordinal that
// the page begins at: a plan that is made anew while it is read is another plan,
// which its digest tells.
func (h handlers) GetRunPlan(ctx context.Context, req GetRunPlanRequestObject) (GetRunPlanResponseObject, error) {
	limit, cursor, err := pageOf(req.Params.Limit, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	from := 0
	if cursor != "" {
		if from, err = strconv.Atoi(cursor); err != nil || from < 1 || strconv.Itoa(from) != cursor {
			return nil, fieldError(export.CodeValidation, "cursor", "is not the cursor of a page")
		}
	}
	run, err := h.findRun(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	digest, shards, err := h.cfg.Runs.Planned(ctx, run.Ref(), from, limit)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, noPlan(run)
	}
	if err != nil {
		return nil, fmt.Errorf("plan of run %s: %w", run.ID, err)
	}
	plan := RunPlan{RunID: run.ID, AsOf: run.AsOf, PlanDigest: digest.String(), Records: run.Progress.Records, Bytes: run.Progress.Bytes,
		Shards: run.Progress.Shards, ShardList: []PlannedShard{}}
	doc := runDocument(run)
	plan.Profile, plan.Selectors, plan.Options = doc.Profile, doc.Selectors, doc.Options
	for _, s := range shards {
		plan.ShardList = append(plan.ShardList, shardDocument(s))
	}
	if next := from + len(shards); len(shards) == limit && next < run.Progress.Shards {
		plan.NextCursor = strconv.Itoa(next)
	}
	if plan.Tenants, err = h.plannedShares(ctx, run); err != nil {
		return nil, fmt.Errorf("plan of run %s: %w", run.ID, err)
	}
	if req.Params.Excluded != nil && *req.Params.Excluded {
		done, err := h.prices.take(ctx, run.Tenant)
		if err != nil {
			return nil, err
		}
		defer done()
		if plan.Excluded, err = h.excluded(ctx, run, run.AsOf); err != nil {
			return nil, fmt.Errorf("plan of run %s: %w", run.ID, err)
		}
	}
	return GetRunPlan200JSONResponse(plan), nil
}

// noPlan says why there is none: not yet, or not any more.
func noPlan(run export.Run) error {
	if run.State.Terminal() {
		return export.Errorf(export.CodeExpired, "the run ended %s without a bundle, and its plan was destroyed with what it had packed", run.State)
	}
	return export.Errorf(export.CodeNotReady, "the run is %s and has no plan yet; ask again later", run.State)
}

func shardDocument(s storage.PlannedShard) PlannedShard {
	doc := PlannedShard{Ordinal: s.Ordinal, Path: s.Name, Kind: s.Kind, Records: s.Count, Bytes: s.Bytes,
		Documents: s.Hash.String(), State: PlannedShardStatePlanned}
	if s.Result == nil {
		return doc
	}
	doc.State, doc.Digest, doc.StoredBytes = PlannedShardStatePacked, s.Result.Digest.String(), s.Result.Size
	if s.Reused {
		doc.State = PlannedShardStateReused
	}
	return doc
}

// excluded counts what the members of a run's selectors leave out of its own tenant's
// documents as of seq. What other tenants have besides is not told.
func (s *Server) excluded(ctx context.Context, run export.Run, seq int64) ([]Exclusion, error) {
	left, err := s.cfg.Catalog.Excluded(ctx, run.Tenant, run.Project, seq, run.Selectors)
	if err != nil {
		return nil, err
	}
	return exclusionDocuments(left), nil
}

func exclusionDocuments(left []ledger.Exclusion) []Exclusion {
	doc := []Exclusion{}
	for _, e := range left {
		doc = append(doc, Exclusion{Member: e.Member, Documents: e.Documents, Bytes: e.Bytes})
	}
	return doc
}
