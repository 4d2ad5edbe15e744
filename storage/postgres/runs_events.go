package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// entry is an event to be written. (phase, type, subject) is its identity
// within the run: an entry that is there already is not written again.
type entry struct {
	kind    export.EventType
	phase   export.Phase // "" when the API writes it
	subject string
	message string
	at      time.Time
	metrics map[string]int64
}

// addEvents appends entries to the journal of a run whose row the transaction
// holds. The numbers come from the row's counter, so they have no gaps.
func addEvents(ctx context.Context, tx pgx.Tx, run export.Run, entries ...entry) error {
	columns := struct {
		kind, phase, subject, message, metrics []string
		at                                     []time.Time
	}{}
	for _, e := range entries {
		metrics, err := jsonColumn(e.metrics, "{}")
		if err != nil {
			return err
		}
		columns.kind = append(columns.kind, string(e.kind))
		columns.phase = append(columns.phase, string(e.phase))
		columns.subject = append(columns.subject, storable(e.subject))
		columns.message = append(columns.message, storable(e.message))
		columns.metrics = append(columns.metrics, string(metrics))
		columns.at = append(columns.at, e.at)
	}
	_, err := tx.Exec(ctx, `
		with given as (
			select * from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::text[])
				with ordinality as g (event_type, phase, subject, message, at, metrics, place)
		), fresh as (
			select g.*, row_number() over (order by g.place) as step from given g
			where not exists (select from export_events e where e.tenant = $1 and e.run_id = $2
				and e.phase = g.phase and e.event_type = g.event_type and e.subject = g.subject)
		), counted as (
			update export_runs set event_seq = event_seq + (select count(*) from fresh)
			where tenant = $1 and id = $2 and exists (select from fresh)
			returning event_seq - (select count(*) from fresh) as base
		)
		insert into export_events (tenant, project, run_id, seq, event_type, phase, subject, message, at, metrics)
		select $1, $3, $2, c.base + f.step, f.event_type, f.phase, f.subject, f.message, f.at, f.metrics::jsonb
		from fresh f, counted c`,
		run.Tenant, run.ID, projectColumn(run.Project),
		columns.kind, columns.phase, columns.subject, columns.message, columns.at, columns.metrics)
	if err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	wrote(tx, run.Ref())
	return nil
}

// addTimeline puts timeline events in the outbox, once per (run, transition).
// It comes after the journal events of the same change, so that the row knows
// its place in the run's story.
func addTimeline(ctx context.Context, tx pgx.Tx, run export.Run, at time.Time, events ...export.TimelineEvent) error {
	for _, e := range events {
		if e.TenantID != run.Tenant || e.RunID != run.ID || e.EventID != export.TimelineEventID(run.Ref(), e.EventType) {
			return fmt.Errorf("write timeline event %s: it is not about run %s", e.EventType, run.ID)
		}
		raw, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode timeline event: %w", err)
		}
		payload, err := bundle.Canonical(raw)
		if err != nil {
			return fmt.Errorf("encode timeline event: %w", err)
		}
		_, err = tx.Exec(ctx, `
			insert into export_outbox (tenant, project, event_id, run_id, seq, event_type, payload, created_at)
			select tenant, project, $3, id, event_seq, $4, $5, $6 from export_runs where tenant = $1 and id = $2
			on conflict (tenant, event_id) do nothing`,
			run.Tenant, run.ID, e.EventID, string(e.EventType), string(payload), at)
		if err != nil {
			return fmt.Errorf("write timeline event %s: %w", e.EventType, err)
		}
	}
	return nil
}

// storable makes a message of any origin fit a text column. A run must be able
// to end whatever is in the words about it.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
