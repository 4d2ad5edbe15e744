package frontend

import (
	"context"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/export"
)

// readAsOf reads which moment a run is asked for as of, if any.
func (a *askedRun) readAsOf(options RunOptions) error {
	const field, timeField = "options.asOf", "options.asOfTime"
	switch {
	case options.AsOf != nil && options.AsOfTime != nil:
		return fieldError(export.CodeValidation, timeField, "the moment is said twice; leave out %s or %s", field, timeField)
	case options.AsOf != nil && *options.AsOf < 1:
		return fieldError(export.CodeValidation, field, "%d is no sequence; the ledger begins at 1", *options.AsOf)
	case options.AsOf != nil:
		a.options.AsOf = *options.AsOf
	case options.AsOfTime != nil:
		at, err := time.Parse(time.RFC3339Nano, *options.AsOfTime)
		if len(*options.AsOfTime) > maxTimeText || err != nil || at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
			return fieldError(export.CodeValidation, timeField, "is not an RFC 3339 time such as 2026-11-21T08:00:00Z")
		}
		a.asOfTime = at.UTC()
	}
	return nil
}

// resolveAsOf writes into a run which sequence it is to read at, and sees that there is
// such a moment: the ledger only grows, so what holds now holds when the run starts.
func (s *Server) resolveAsOf(ctx context.Context, run *export.Run, asked askedRun) error {
	if asked.options.AsOf == 0 && asked.asOfTime.IsZero() {
		return nil
	}
	if !asked.asOfTime.IsZero() {
		if asked.asOfTime.After(s.clock()) {
			return fieldError(export.CodeValidation, "options.asOfTime", "%s is not past; leave it out, and the run reads what there is when it starts",
				asked.asOfTime.Format(time.RFC3339Nano))
		}
		seq, err := s.cfg.Catalog.SeqAt(ctx, run.Tenant, asked.asOfTime)
		if err != nil {
			return fmt.Errorf("find the sequence of a time: %w", err)
		}
		if seq == 0 {
			return fieldError(export.CodeValidation, "options.asOfTime", "nothing was recorded until %s", asked.asOfTime.Format(time.RFC3339Nano))
		}
		run.Options.AsOf = seq
	}
	head, err := s.cfg.Ledger.Head(ctx, run.Tenant)
	if err != nil {
		return fmt.Errorf("read ledger head: %w", err)
	}
	return run.CheckAsOf(head)
}

// asOfDocument is the sequence that a run was asked for as of, nil where none was.
func asOfDocument(run export.Run) *int64 {
	if run.Options.AsOf == 0 {
		return nil
	}
	return &run.Options.AsOf
}
