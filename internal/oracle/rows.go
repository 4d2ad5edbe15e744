package oracle

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
)

// run: one row, in the expected terminal state, with what its state promises.
func (j *judgement) run() error {
	var state, payload string
	var cancelled bool
	err := j.admin.QueryRow(j.ctx, `
		select status, payload_digest, coalesce(cancel_by <> '' and cancel_reason <> '', false)
		from export_runs where tenant = $1 and id = $2`, j.ref.Tenant, j.ref.RunID).Scan(&state, &payload, &cancelled)
	if err != nil {
		return fmt.Errorf("read its row: %w", err)
	}
	if state != string(j.want.State) {
		j.say("the run is %s, want %s", state, j.want.State)
	}
	if j.want.Payload != "" && payload != j.want.Payload {
		j.say("payload digest %s, the twin has %s", payload, j.want.Payload)
	}
	if j.want.State == export.StateAborted && !cancelled {
		j.say("the run was aborted, and its row does not say by whom and why")
	}
	return nil
}

// journal: numbered from 1 without a gap, the row's counter is the last, no
// step is told twice, one end, in the expected order (ARCHITECTURE D6).
func (j *judgement) journal() error {
	rows, err := j.admin.Query(j.ctx, `select seq, event_type, phase, subject from export_events
		where tenant = $1 and run_id = $2 order by seq`, j.ref.Tenant, j.ref.RunID)
	if err != nil {
		return fmt.Errorf("read its journal: %w", err)
	}
	type entry struct {
		Seq                  int64
		Type, Phase, Subject string
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[entry])
	if err != nil {
		return fmt.Errorf("read its journal: %w", err)
	}
	seen := map[entry]bool{}
	var types []export.EventType
	for i, e := range entries {
		if e.Seq != int64(i+1) {
			j.say("event %d of the journal has the number %d", i+1, e.Seq)
		}
		e.Seq = 0
		if seen[e] {
			j.say("the journal tells %s of %s twice (subject %q)", e.Type, e.Phase, e.Subject)
		}
		seen[e] = true
		types = append(types, export.EventType(e.Type))
	}
	var counter int64
	err = j.admin.QueryRow(j.ctx, `select event_seq from export_runs where tenant = $1 and id = $2`, j.ref.Tenant, j.ref.RunID).Scan(&counter)
	if err != nil {
		return fmt.Errorf("read its event counter: %w", err)
	}
	if counter != int64(len(entries)) {
		j.say("the run counts %d events, its journal has %d", counter, len(entries))
	}
	j.order(types)
	return nil
}

func (j *judgement) order(types []export.EventType) {
	ends := 0
	for _, t := range types {
		if slices.Contains([]export.EventType{export.EventSucceeded, export.EventFailed, export.EventAborted}, t) {
			ends++
		}
	}
	if ends != 1 {
		j.say("the journal has %d ends: %v", ends, types)
	}
	switch {
	case j.want.Journal != nil:
		if err := j.want.Journal(types); err != nil {
			j.say("the journal %v: %v", types, err)
		}
	case !slices.Equal(types, j.want.Events):
		j.say("the journal is %v, want %v", types, j.want.Events)
	}
}

// outbox: every transition once, under the id that follows from it.
func (j *judgement) outbox() error {
	rows, err := j.admin.Query(j.ctx, `select event_type, event_id from export_outbox
		where tenant = $1 and run_id = $2 order by seq, event_type`, j.ref.Tenant, j.ref.RunID)
	if err != nil {
		return fmt.Errorf("read its outbox: %w", err)
	}
	var types []export.Transition
	var kind, id string
	_, err = pgx.ForEachRow(rows, []any{&kind, &id}, func() error {
		types = append(types, export.Transition(kind))
		if want := export.TimelineEventID(j.ref, export.Transition(kind)); id != want {
			j.say("the outbox has %s under the id %s, want %s", kind, id, want)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read its outbox: %w", err)
	}
	if j.want.Rebuild {
		if len(types) > 0 {
			j.say("the timeline is told %v of a rebuild", types)
		}
		return nil
	}
	signed := slices.Contains(types, export.TransitionBuilt) // an end after signing is told as well
	if want := told(j.want.State, signed || j.want.State == export.StateSucceeded, j.want.Waited); !slices.Equal(types, want) {
		j.say("the timeline is told %v, want %v", types, want)
	}
	return nil
}

// slots: nothing of the tenant holds or waits for one.
func (j *judgement) slots() error {
	var active, queued int
	err := j.admin.QueryRow(j.ctx, `
		select count(*) filter (where dispatched_at is not null), count(*) filter (where dispatched_at is null)
		from export_runs where tenant = $1 and status in ('pending', 'running', 'waiting')`, j.ref.Tenant).Scan(&active, &queued)
	if err != nil {
		return fmt.Errorf("count its tenant's runs: %w", err)
	}
	if active != 0 || queued != 0 {
		j.say("%d runs still hold a slot and %d wait for one", active, queued)
	}
	return nil
}
