package postgres_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

func TestCreateRunKeepsEveryField(t *testing.T) {
	w := newWorld(t)
	want := request("acme", 1)
	run := w.create(t, "acme", 1)
	want.State, want.DispatchedAt = export.StatePending, at(1)
	require.Equal(t, want, run)
	require.Equal(t, want, w.get(t, run.Ref()))

	bare := export.Run{Tenant: "acme", ID: runID(2), ProfileID: "prof-json-raw", RequestedBy: "bob",
		RequestedAt: at(2).Add(123 * time.Millisecond).In(time.FixedZone("elsewhere", 3600))}
	run, _, err := w.runs.CreateRun(t.Context(), bare, storage.Idempotency{})
	require.NoError(t, err)
	bare.State, bare.RequestedAt, bare.DispatchedAt = export.StatePending, at(2), at(2)
	require.Equal(t, bare, run, "no project, no labels, whole seconds in UTC")
	require.Equal(t, "_", value[string](t, w, "acme", "select project from export_runs where id = $1", run.ID))
}

func TestCreateRunWritesEventAndOutboxWithIt(t *testing.T) {
	w := newWorld(t)
	run := w.create(t, "acme", 1)
	require.Equal(t, []export.Event{{RunID: run.ID, Seq: 1, Type: export.EventPending,
		Message: "the run waits to be started", At: at(1)}}, w.journal(t, run.Ref()))
	payload := value[string](t, w, "acme", "select payload from export_outbox where run_id = $1", run.ID)
	var event export.TimelineEvent
	require.NoError(t, json.Unmarshal([]byte(payload), &event))
	require.Equal(t, export.TransitionRequested, event.EventType)
	require.Equal(t, export.TimelineEventID(run.Ref(), export.TransitionRequested), event.EventID)
	require.Equal(t, "acme", event.TenantID)
	canonical, err := bundle.Canonical([]byte(payload))
	require.NoError(t, err)
	require.Equal(t, string(canonical), payload)
	require.NotContains(t, payload, "attributes")
	past := request("acme", 2)
	past.Options.AsOf = 1
	_, _, err = w.runs.CreateRun(t.Context(), past, storage.Idempotency{})
	require.NoError(t, err)
	require.Contains(t, value[string](t, w, "acme", "select payload from export_outbox where run_id = $1", past.ID), `"attributes":{"asOf":"1"}`)
}

func TestCreateRunRefusals(t *testing.T) {
	w := newWorld(t)
	w.create(t, "acme", 1)
	cases := []struct {
		name  string
		spoil func(*export.Run, *storage.Idempotency)
		code  export.Code
		field string
	}{
		{"id of another run", func(r *export.Run, _ *storage.Idempotency) { r.ID = runID(1) }, export.CodeStateConflict, ""},
		{"id in capitals", func(r *export.Run, _ *storage.Idempotency) { r.ID = strings.ToUpper(r.ID) }, export.CodeValidation, "runId"},
		{"no tenant", func(r *export.Run, _ *storage.Idempotency) { r.Tenant = "" }, export.CodeTenantRequired, ""},
		{"bad project", func(r *export.Run, _ *storage.Idempotency) { r.Project = "a/b" }, export.CodeValidation, "project"},
		{"no time", func(r *export.Run, _ *storage.Idempotency) { r.RequestedAt = time.Time{} }, export.CodeValidation, "requestedAt"},
		{"zero byte in a label", func(r *export.Run, _ *storage.Idempotency) { r.Labels = map[string]string{"a": "\x00"} }, export.CodeValidation, ""},
		{"long key", func(_ *export.Run, i *storage.Idempotency) { i.Key = strings.Repeat("k", 256) }, export.CodeValidation, "Idempotency-Key"},
		{"key that is no text", func(_ *export.Run, i *storage.Idempotency) { i.Key = "\xff" }, export.CodeValidation, "Idempotency-Key"},
		{"key without hash", func(_ *export.Run, i *storage.Idempotency) { i.Key = "k" }, export.CodeValidation, "Idempotency-Key"},
	}
	before := w.fingerprint(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			run, idem := request("acme", 2), storage.Idempotency{}
			c.spoil(&run, &idem)
			_, created, err := w.runs.CreateRun(t.Context(), run, idem)
			require.False(t, created)
			require.Equal(t, c.code, export.CodeOf(err), "%v", err)
			var coded *export.Error
			require.ErrorAs(t, err, &coded)
			require.Equal(t, c.field, coded.Field)
			require.Equal(t, c.code == export.CodeStateConflict, errors.Is(err, storage.ErrConflict))
		})
	}
	require.Equal(t, before, w.fingerprint(t), "a refusal writes nothing")
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	idem := storage.Idempotency{Key: "key-1", RequestHash: digest("request")}
	first, created, err := w.runs.CreateRun(t.Context(), request("acme", 1), idem)
	require.NoError(t, err)
	require.True(t, created)
	before := w.fingerprint(t)

	again, created, err := w.runs.CreateRun(t.Context(), request("acme", 2), idem)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, first, again)

	_, created, err = w.runs.CreateRun(t.Context(), request("acme", 3), storage.Idempotency{Key: "key-1", RequestHash: digest("other")})
	require.ErrorIs(t, err, storage.ErrConflict)
	require.Equal(t, export.CodeIdempotency, export.CodeOf(err))
	require.False(t, created)
	require.Equal(t, before, w.fingerprint(t))

	other, created, err := w.runs.CreateRun(t.Context(), request("globex", 4), storage.Idempotency{Key: "key-1", RequestHash: digest("other")})
	require.NoError(t, err, "another tenant's key is another key")
	require.True(t, created)
	require.Equal(t, runID(4), other.ID)
}

func TestOneRunPerIdempotencyKeyWhenManyAsk(t *testing.T) {
	w := newWorld(t)
	const clients = 24
	idem := storage.Idempotency{Key: "same", RequestHash: digest("request")}
	ids, made, errs := make([]string, clients), make([]bool, clients), make([]error, clients)
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			var run export.Run
			run, made[i], errs[i] = w.runs.CreateRun(t.Context(), request("acme", i+1), idem)
			ids[i] = run.ID
		})
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	count := 0
	for i := range clients {
		require.Equal(t, ids[0], ids[i])
		if made[i] {
			count++
		}
	}
	require.Equal(t, 1, count)
	require.Equal(t, 1, value[int](t, w, "acme", "select count(*) from export_runs"))
	require.Equal(t, 1, value[int](t, w, "acme", "select count(*) from export_outbox"))
}

func TestAnAbsentRunIsNotFoundWhoeverHasIt(t *testing.T) {
	w := newWorld(t)
	theirs := w.started(t, "globex", 1)
	before := w.fingerprint(t)
	for name, id := range map[string]string{
		"foreign": theirs.ID, "random": runID(99), "no id": "", "no uuid": "../x", "zero byte": "\x00", "capitals": strings.ToUpper(theirs.ID),
	} {
		ref := export.Ref{Tenant: "acme", RunID: id}
		for method, err := range callEverything(t, w, ref) {
			require.ErrorIs(t, err, storage.ErrNotFound, "%s id, %s", name, method)
			require.Equal(t, export.CodeRunNotFound, export.CodeOf(err), "%s id, %s", name, method)
		}
	}
	require.Equal(t, before, w.fingerprint(t), "nothing was written")
	runs, _, err := w.runs.ListRuns(t.Context(), "acme", storage.RunFilter{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, runs)
}

// callEverything calls each method that names a run, with a claim that would
// be good if the run were there.
func callEverything(t *testing.T, w world, ref export.Ref) map[string]error {
	t.Helper()
	ctx := t.Context()
	errs := callClaimed(t, w, storage.Claim{Ref: ref, Phase: export.PhasePlan, Attempt: 1})
	_, errs["GetRun"] = w.runs.GetRun(ctx, ref)
	_, errs["RequestCancel"] = w.runs.RequestCancel(ctx, ref, export.Cancellation{By: "a", Reason: "b", At: at(1)})
	_, errs["Events"] = w.runs.Events(ctx, ref, 0, 10)
	_, errs["Files"] = w.runs.Files(ctx, ref)
	_, _, errs["Begin"] = w.exec.Begin(ctx, ref, export.PhasePlan, 2)
	_, _, errs["Plan"] = w.exec.Plan(ctx, ref)
	_, errs["BundleFiles"] = w.exec.BundleFiles(ctx, ref)
	_, errs["DropBlobs"] = w.exec.DropBlobs(ctx, ref)
	errs["EraseBlobs"] = w.exec.EraseBlobs(ctx, ref, []bundle.Digest{digest("x")}, func(bundle.Digest, storage.Still) error { return nil })
	_, errs["Finish"] = w.exec.Finish(ctx, storage.Claim{Ref: ref, Phase: export.PhasePlan, Attempt: 1}, succeeded(export.Run{Tenant: ref.Tenant, ID: ref.RunID}))
	return errs
}

// callClaimed calls each method of Execution that takes a claim, except Finish.
func callClaimed(t *testing.T, w world, c storage.Claim) map[string]error {
	t.Helper()
	ctx, errs := t.Context(), map[string]error{}
	result := export.Result{ManifestDigest: digest("m").String(), PayloadDigest: digest("p").String(),
		RerunHash: digest("r").String(), ArchiveDigest: digest("a").String(), ArchiveBytes: 5}
	_, errs["Start"] = w.exec.Start(ctx, c, 5, at(300))
	errs["SavePlan"] = w.exec.SavePlan(ctx, c, digest("late plan"), digest("selection"), shards(1), at(300))
	errs["SaveShards"] = w.exec.SaveShards(ctx, c, digest("recipe"), packed(shards(1)), at(300))
	errs["AddEvent"] = w.exec.AddEvent(ctx, c, "late", export.Event{Type: export.EventAdapterStart, At: at(300)})
	errs["SaveFiles"] = w.exec.SaveFiles(ctx, c, []storage.File{{Path: "late"}})
	errs["SaveManifest"] = w.exec.SaveManifest(ctx, c, result, at(300))
	_, errs["FindSignature"] = w.exec.FindSignature(ctx, c, "late", "k", digest("late"))
	_, errs["KeepSignature"] = w.exec.KeepSignature(ctx, c, storage.StoredSignature{Artifact: "late", Signature: []byte("s")})
	errs["SaveSigned"] = w.exec.SaveSigned(ctx, c, result, timeline(c.Ref, export.TransitionBuilt), at(300))
	errs["SaveDistribution"] = w.exec.SaveDistribution(ctx, c, storage.Distribution{Type: "http", Location: "/late"}, at(300))
	errs["Pin"] = w.exec.Pin(ctx, c, digest("late"), 1)
	return errs
}

func TestListRunsIsStableWhileRunsAreAdded(t *testing.T) {
	w := newWorld(t)
	const old = 23
	for n := 1; n <= old; n++ {
		run := request("acme", n)
		run.RequestedAt = at(n / 5) // five share a second
		_, _, err := w.runs.CreateRun(t.Context(), run, storage.Idempotency{})
		require.NoError(t, err)
	}
	w.create(t, "globex", 500)
	var ids []string
	filter := storage.RunFilter{Limit: 4}
	for page := 0; ; page++ {
		runs, next, err := w.runs.ListRuns(t.Context(), "acme", filter)
		require.NoError(t, err)
		for _, run := range runs {
			ids = append(ids, run.ID)
		}
		if next == "" {
			break
		}
		require.Len(t, runs, 4)
		w.create(t, "acme", 100+page) // newer than all
		filter.Cursor = next
	}
	var want []string
	for n := old; n >= 1; n-- {
		want = append(want, runID(n))
	}
	require.Equal(t, want, ids)
	runs, next, err := w.runs.ListRuns(t.Context(), "acme", storage.RunFilter{Limit: 28})
	require.NoError(t, err)
	require.Len(t, runs, 28)
	require.Empty(t, next, "a full last page has no next one")
}

func TestListRunsFilters(t *testing.T) {
	w := newWorld(t)
	w.create(t, "acme", 1)
	running := w.started(t, "acme", 2)
	other := request("acme", 3)
	other.ProfileID = "prof-other"
	_, _, err := w.runs.CreateRun(t.Context(), other, storage.Idempotency{})
	require.NoError(t, err)
	list := func(f storage.RunFilter) (ids []string) {
		f.Limit = 10
		runs, _, err := w.runs.ListRuns(t.Context(), "acme", f)
		require.NoError(t, err)
		for _, run := range runs {
			ids = append(ids, run.ID)
		}
		return ids
	}
	require.Equal(t, []string{runID(3), runID(2), runID(1)}, list(storage.RunFilter{}))
	require.Equal(t, []string{running.ID}, list(storage.RunFilter{State: export.StateRunning}))
	require.Equal(t, []string{runID(3)}, list(storage.RunFilter{State: export.StatePending, Profile: "prof-other"}))
	require.Empty(t, list(storage.RunFilter{Profile: "prof-json"}))

	for field, f := range map[string]storage.RunFilter{
		"limit":  {Limit: 0},
		"status": {Limit: 1, State: "done"},
		"cursor": {Limit: 1, Cursor: "MTAuMTA"},
	} {
		_, _, err := w.runs.ListRuns(t.Context(), "acme", f)
		var coded *export.Error
		require.ErrorAs(t, err, &coded)
		require.Equal(t, export.CodeValidation, coded.Code)
		require.Equal(t, field, coded.Field)
	}
	_, _, err = w.runs.ListRuns(t.Context(), "acme", storage.RunFilter{Limit: 201})
	require.Equal(t, export.CodeValidation, export.CodeOf(err))
}

func TestRequestCancelKeepsTheFirst(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	first := export.Cancellation{By: "alice", Reason: "wrong \x00 selection", At: at(150)}
	run, err := w.runs.RequestCancel(t.Context(), ref, first)
	require.NoError(t, err)
	first.Reason = "wrong \uFFFD selection"
	require.Equal(t, &first, run.Cancel)
	require.Equal(t, export.StateRunning, run.State, "the workflow ends it")
	run, err = w.runs.RequestCancel(t.Context(), ref, export.Cancellation{By: "bob", Reason: "me too", At: at(151)})
	require.NoError(t, err)
	require.Equal(t, &first, run.Cancel)
	require.Equal(t, []export.EventType{export.EventPending, export.EventStarted, export.EventCancelRequested}, w.types(t, ref))
	_, run, err = w.exec.Begin(t.Context(), ref, export.PhaseAdapt, 1)
	require.NoError(t, err)
	require.Equal(t, &first, run.Cancel, "the next phase sees the request")

	end := w.finish(t, ref, aborted(run))
	require.Equal(t, &first, end.Cancel)
	run, err = w.runs.RequestCancel(t.Context(), ref, first)
	require.ErrorIs(t, err, storage.ErrConflict)
	require.Equal(t, export.CodeStateConflict, export.CodeOf(err))
	require.Equal(t, export.StateAborted, run.State)
}

func TestEventsArePaged(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	claim := w.begin(t, ref, export.PhaseAdapt, 1)
	for i := range 10 {
		require.NoError(t, w.exec.AddEvent(t.Context(), claim, fmt.Sprint(i), export.Event{
			Type: export.EventAdapterChunk, Message: "chunk", At: at(i), Metrics: map[string]int64{"n": int64(i)}}))
	}
	all := w.journal(t, ref)
	require.Len(t, all, 12)
	require.Equal(t, map[string]int64{"n": 3}, all[5].Metrics)
	part, err := w.runs.Events(t.Context(), ref, 4, 3)
	require.NoError(t, err)
	require.Equal(t, all[4:7], part)
	part, err = w.runs.Events(t.Context(), ref, 12, 3)
	require.NoError(t, err)
	require.Empty(t, part)
}
