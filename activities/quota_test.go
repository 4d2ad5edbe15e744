package activities

import (
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

// A run that would take more than its profile allows fails when its plan is made, for
// good, and nothing is packed or stored; one that takes just as much goes on.
func TestAPlanBeyondItsProfilesBytes(t *testing.T) {
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	batch := make([]ledger.Observation, 3)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range batch {
		batch[i] = anyDocument(rng)
	}
	_, err := store.Import(t.Context(), "acme", batch)
	require.NoError(t, err)
	objects := storagetest.NewObjects()
	kinds, err := adapters.NewRegistry(jsonraw.Adapter{})
	require.NoError(t, err)
	work := &Export{Ledger: store, Execution: postgres.NewExecution(db.DB), Objects: objects, Adapters: kinds,
		Clock: clock.System, Log: slog.New(slog.DiscardHandler)}
	runs := postgres.NewRuns(db.DB)

	resolve := func(id string, bound int64) (PhaseResult, error) {
		run := export.Run{Tenant: "acme", ID: id, ProfileID: "p", ProfileName: "nightly", Kind: "json", Variant: "raw",
			Quotas: export.ProfileQuotas{MaxBytes: bound}, RequestedAt: time.Now()}
		_, _, err := runs.CreateRun(t.Context(), run, storage.Idempotency{})
		require.NoError(t, err)
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestActivityEnvironment()
		env.RegisterActivity(work)
		_, err = env.ExecuteActivity(work.Plan, PhaseInput{Ref: run.Ref()})
		require.NoError(t, err)
		value, err := env.ExecuteActivity(work.Resolve, PhaseInput{Ref: run.Ref()})
		if err != nil {
			return PhaseResult{}, err
		}
		var result PhaseResult
		require.NoError(t, value.Get(&result))
		return result, nil
	}
	free, err := resolve("0195f000-0000-7000-8000-000000000001", 0)
	require.NoError(t, err)
	require.Positive(t, free.Bytes)
	before := objects.Digests("acme")

	_, err = resolve("0195f000-0000-7000-8000-000000000002", free.Bytes-1)
	var failed *temporal.ApplicationError
	require.ErrorAs(t, err, &failed)
	require.True(t, failed.NonRetryable())
	require.Equal(t, string(export.ClassQuota), failed.Type())
	var told export.Failure
	require.NoError(t, failed.Details(&told))
	require.Equal(t, export.CodeQuota, told.Code)
	require.Contains(t, told.Message, "profile nightly may take")
	require.Equal(t, before, objects.Digests("acme"))
	require.Zero(t, objects.Staging())

	_, err = resolve("0195f000-0000-7000-8000-000000000003", free.Bytes)
	require.NoError(t, err)
}
