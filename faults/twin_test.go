package faults

import (
	"crypto/rand"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/oracle"
	"github.com/stella-ops/exportcenter/internal/scratch"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// twin makes the same run, of the same tenant and the same id, in a database of
// its own where nothing happens, and gives what it became.
func (w *world) twin(t *testing.T, of scenario, ref export.Ref) oracle.Expect {
	t.Helper()
	blobs := t.TempDir()
	objects, err := files.Open(blobs, clock.System, rand.Reader)
	require.NoError(t, err)
	defer objects.Close()
	book, runs := postgres.NewLedger(w.calm.DB), postgres.NewRuns(w.calm.DB)
	rough, err := scratch.Open(t.TempDir())
	require.NoError(t, err)
	defer rough.Close()
	exporting := &activities.Export{Ledger: book, Execution: postgres.NewExecution(w.calm.DB), Objects: objects,
		Signer: w.signer, Adapters: w.registry, Scratch: rough, Policies: policies{}, TUF: w.tuf,
		Clock: clock.Fixed(moment), Log: slog.New(slog.DiscardHandler), Version: "twin"}
	made, evidence := []string{ref.RunID}, [][]ledger.Observation{w.evidence}
	switch {
	case of.again:
		made = []string{clock.NewID(), ref.RunID}
	case of.delta:
		made, evidence = []string{baseMirror, targetMirror, ref.RunID}, w.halves()
	}
	for i, id := range made {
		if i < len(evidence) {
			_, err = book.Import(t.Context(), ref.Tenant, evidence[i])
			require.NoError(t, err)
		}
		one := export.Ref{Tenant: ref.Tenant, RunID: id}
		_, _, err = runs.CreateRun(t.Context(), of.request(one), storage.Idempotency{})
		require.NoError(t, err)
		w.walk(t, of, one, exporting)
	}

	run, err := runs.GetRun(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, export.StateSucceeded, run.State)
	survey, err := files.OpenSurvey(blobs)
	require.NoError(t, err)
	defer survey.Close()
	archive, err := oracle.Archive(t.Context(), w.calm.DB, survey, ref)
	require.NoError(t, err)
	want := oracle.Expect{State: run.State, Payload: run.Result.PayloadDigest, Archive: bundle.DigestOf(archive).String()}
	if of.encryption != "" { // no two archives are the same; what is within is
		want.Archive, want.Plain = "", run.Result.Encrypted.PlainDigest
	}
	if of.parked {
		want.Waited = []export.Transition{export.TransitionWaiting, export.TransitionApproved}
	}
	events, err := runs.Events(t.Context(), ref, 0, 200)
	require.NoError(t, err)
	for _, e := range events {
		want.Events = append(want.Events, e.Type)
	}
	return want
}

// walk runs the phases in the SDK's activity environment.
func (w *world) walk(t *testing.T, of scenario, ref export.Ref, exporting *activities.Export) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(exporting)
	phase := func(activity, in any) activities.PhaseResult {
		answer, err := env.ExecuteActivity(activity, in)
		require.NoError(t, err)
		var result activities.PhaseResult
		require.NoError(t, answer.Get(&result))
		return result
	}
	in := activities.PhaseInput{Ref: ref}
	phase(exporting.Plan, in)
	planned := phase(exporting.Resolve, in)
	ranges := planned.Ranges
	if !of.again && !of.delta { // they take over, or pack nothing
		require.Greater(t, len(ranges), 1, "the evidence must make more than one range")
	}
	for _, of := range ranges {
		phase(exporting.AdaptRange, activities.RangeInput{Ref: ref, Range: of})
	}
	if planned.Builds {
		phase(exporting.Assemble, in)
	}
	if planned.Guarded {
		answer, err := env.ExecuteActivity(exporting.Guard, in)
		require.NoError(t, err)
		var found activities.GuardResult
		require.NoError(t, answer.Get(&found))
		require.Equal(t, of.parked, found.Parked)
	}
	if of.parked {
		_, err := postgres.NewRuns(w.calm.DB).Decide(t.Context(), ref, approval)
		require.NoError(t, err)
		given, err := postgres.NewDispatch(w.calm.DB).Claim(t.Context(), ref.Tenant, moment)
		require.NoError(t, err)
		require.Len(t, given, 1)
		_, err = env.ExecuteActivity(exporting.Settle, activities.SettleInput{Ref: ref})
		require.NoError(t, err)
	}
	concluding := []any{exporting.Manifest, exporting.Sign}
	if planned.Encrypted {
		concluding = append(concluding, exporting.Encrypt)
	}
	for _, activity := range append(concluding, exporting.Distribute) {
		phase(activity, in)
	}
	_, err := env.ExecuteActivity(exporting.EmitTimeline, activities.EmitTimelineInput{Ref: ref})
	require.NoError(t, err)
}
