package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// world is a database with the views on it that the tests of runs use.
type world struct {
	*pgtest.Database
	runs *postgres.Runs
	exec *postgres.Execution
}

func newWorld(t testing.TB) world {
	t.Helper()
	return worldOf(pgtest.New(t))
}

func worldOf(db *pgtest.Database) world {
	return world{Database: db, runs: postgres.NewRuns(db.DB), exec: postgres.NewExecution(db.DB)}
}

// at is the n-th second of the tests' time.
func at(n int) time.Time { return time.Date(2026, 3, 1, 12, 0, n, 0, time.UTC) }

func runID(n int) string { return fmt.Sprintf("0195f000-0000-7000-8000-%012x", n) }

// request is a run as the frontend would ask for it.
func request(tenant string, n int) export.Run {
	return export.Run{
		Tenant: tenant, Project: "core", ID: runID(n),
		ProfileID: "prof-json-raw", ProfileRevision: 1, ProfileName: "json-raw", Kind: "json", Variant: "raw",
		Selectors:   export.Selectors{Kinds: []string{"advisory"}, Sources: []string{"osv"}, Ecosystems: []string{"Go", "crates.io"}},
		Options:     export.Options{AllowEmpty: true},
		Labels:      map[string]string{"ticket": "SEC-1", "a": ""},
		RequestedBy: "alice@example.org", RequestedAt: at(n),
	}
}

func (w world) create(t testing.TB, tenant string, n int) export.Run {
	t.Helper()
	run, created, err := w.runs.CreateRun(t.Context(), request(tenant, n), storage.Idempotency{})
	require.NoError(t, err)
	require.True(t, created)
	return run
}

func (w world) begin(t testing.TB, ref export.Ref, phase export.Phase, attempt int64) storage.Claim {
	t.Helper()
	claim, _, err := w.exec.Begin(t.Context(), ref, phase, attempt)
	require.NoError(t, err)
	return claim
}

// started creates a run and starts it.
func (w world) started(t testing.TB, tenant string, n int) export.Run {
	t.Helper()
	return w.start(t, w.create(t, tenant, n).Ref())
}

// start starts a run that was created.
func (w world) start(t testing.TB, ref export.Ref) export.Run {
	t.Helper()
	run, err := w.exec.Start(t.Context(), w.begin(t, ref, export.PhasePlan, 1), 77, at(100))
	require.NoError(t, err)
	return run
}

// delivered creates a run that has all it needs to succeed.
func (w world) delivered(t testing.TB, tenant string, n int) export.Run {
	t.Helper()
	return w.deliver(t, w.started(t, tenant, n).Ref())
}

// deliver gives a run that was started all it needs to succeed.
func (w world) deliver(t testing.TB, ref export.Ref) export.Run {
	t.Helper()
	result := export.Result{ArchiveDigest: digest("archive").String(), ArchiveBytes: 7}
	require.NoError(t, w.exec.SaveSigned(t.Context(), w.begin(t, ref, export.PhaseSign, 1), result,
		timeline(ref, export.TransitionBuilt), at(110)))
	require.NoError(t, w.exec.SaveDistribution(t.Context(), w.begin(t, ref, export.PhaseDistribute, 1),
		storage.Distribution{Type: "http", Location: "/download", Digest: digest("archive"), Size: 7}, at(111)))
	return w.get(t, ref)
}

func (w world) finish(t testing.TB, ref export.Ref, o storage.Outcome) export.Run {
	t.Helper()
	run, err := w.exec.Finish(t.Context(), w.begin(t, ref, export.PhaseEmitTimeline, 1), o)
	require.NoError(t, err)
	return run
}

func (w world) get(t testing.TB, ref export.Ref) export.Run {
	t.Helper()
	run, err := w.runs.GetRun(t.Context(), ref)
	require.NoError(t, err)
	return run
}

// journal gives a run's events and proves that their numbers have no gaps.
func (w world) journal(t testing.TB, ref export.Ref) []export.Event {
	t.Helper()
	events, err := w.runs.Events(t.Context(), ref, 0, 1000)
	require.NoError(t, err)
	for i, e := range events {
		require.Equal(t, int64(i+1), e.Seq, "events have no gaps")
		require.Equal(t, ref.RunID, e.RunID)
	}
	return events
}

// types gives the types of a run's events in order.
func (w world) types(t testing.TB, ref export.Ref) []export.EventType {
	t.Helper()
	var types []export.EventType
	for _, e := range w.journal(t, ref) {
		types = append(types, e.Type)
	}
	return types
}

// value runs a query of one value as the application, in tenant's transaction.
func value[T any](t testing.TB, w world, tenant, query string, args ...any) (v T) {
	t.Helper()
	require.NoError(t, w.WithTenant(t.Context(), tenant, func(tx pgx.Tx) error {
		return tx.QueryRow(t.Context(), query, args...).Scan(&v)
	}))
	return v
}

// fingerprint digests every row a run has anywhere, so that a test can say
// "nothing was written".
func (w world) fingerprint(t testing.TB) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.Admin)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // test
	var all string
	for _, table := range exportTables {
		var rows string
		require.NoError(t, conn.QueryRow(t.Context(),
			"select coalesce(string_agg(r::text, E'\\n' order by r::text), '') from "+table+" r").Scan(&rows))
		all += table + "\n" + rows + "\n"
	}
	return all
}

var exportTables = []string{
	"export_profiles", "export_profile_heads", "export_queues", "export_usage", "export_runs", "export_idempotency_keys", "export_attempts", "export_inputs", "export_events",
	"export_outbox", "blobs", "blob_pins", "export_files", "export_signatures", "export_distributions", "export_sources", "export_guards",
	"policy_snapshots", "mirror_generations",
}

func succeeded(run export.Run) storage.Outcome {
	return storage.Outcome{State: export.StateSucceeded, Message: "the bundle is ready", At: at(200),
		Timeline: []export.TimelineEvent{timeline(run.Ref(), export.TransitionDistributed)}}
}

func failed(run export.Run) storage.Outcome {
	return storage.Outcome{State: export.StateFailed, Message: "no", At: at(200),
		Failure:  &export.Failure{Code: export.CodeEmptySelection, Message: "nothing \x00 matches \xff", Phase: export.PhaseResolve},
		Timeline: []export.TimelineEvent{timeline(run.Ref(), export.TransitionFailed)}}
}

func aborted(run export.Run) storage.Outcome {
	return storage.Outcome{State: export.StateAborted, Message: "cancelled", At: at(200),
		Cancel:   &export.Cancellation{By: "temporal", Reason: "in its UI", At: at(199)},
		Timeline: []export.TimelineEvent{timeline(run.Ref(), export.TransitionFailed)}}
}

func timeline(ref export.Ref, t export.Transition) export.TimelineEvent {
	return export.TimelineEvent{EventID: export.TimelineEventID(ref, t), TenantID: ref.Tenant, EventType: t,
		Source: "exportcenter", OccurredAt: "2026-03-01T12:03:20Z", CorrelationID: ref.RunID, RunID: ref.RunID,
		ProfileID: "prof-json-raw", EvidenceRefs: []export.EvidenceRef{}}
}

func digest(s string) bundle.Digest { return bundle.DigestOf([]byte(s)) }

// shards is a plan of n shards of 10 documents and 1000 bytes each.
func shards(n int) []storage.Shard {
	plan := make([]storage.Shard, n)
	for i := range plan {
		plan[i] = storage.Shard{Ordinal: i, Name: fmt.Sprintf("data/raw/advisories-%016x.jsonl.zst", i), Kind: "advisory",
			Source: "ledger", Cursor: fmt.Sprintf("pkg:golang/%d", i), Count: 10, Bytes: 1000, Hash: digest(fmt.Sprint("shard", i))}
	}
	return plan
}

// packed is the plan's shards with results.
func packed(plan []storage.Shard) []storage.Shard {
	done := make([]storage.Shard, len(plan))
	for i, s := range plan {
		s.Result = &storage.File{Path: s.Name, Digest: digest("blob" + s.Name), Size: 300, Records: s.Count,
			ContentDigest: digest("content" + s.Name), ContentSize: s.Bytes, Payload: true}
		done[i] = s
	}
	return done
}
