package e2e

import (
	"context"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/jsonpolicy"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/adapters/mirrordelta"
	"github.com/stella-ops/exportcenter/adapters/mirrorfull"
	"github.com/stella-ops/exportcenter/adapters/trivydb"
	"github.com/stella-ops/exportcenter/adapters/trivyjavadb"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/policy"
)

// allKinds registers every adapter there is.
func allKinds(t testing.TB) *adapters.Registry {
	t.Helper()
	registry, err := adapters.NewRegistry(jsonraw.Adapter{}, jsonpolicy.Adapter{}, mirrorfull.Adapter{}, mirrordelta.Adapter{}, trivydb.Adapter{}, trivyjavadb.Adapter{})
	require.NoError(t, err)
	require.Len(t, registry.Labels(), len(export.BuiltinProfiles()), "a kind that no twin is made of")
	return registry
}

// twinWorkers is how many activities of adapt a twin runs at once.
const twinWorkers = "EXPORTCENTER_TWIN_WORKERS"

func workersOfTwin(t testing.TB) int {
	t.Helper()
	text := os.Getenv(twinWorkers)
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// baseline decides by the built-in policy.
type baseline struct{}

func (baseline) PolicyOf(context.Context, export.Run) (adapters.Policy, error) {
	pack, err := policy.Baseline()
	if err != nil {
		return adapters.Policy{}, err
	}
	read, err := policy.ReadPack(pack)
	if err != nil {
		return adapters.Policy{}, err
	}
	return adapters.Policy{ID: policy.BaselineID, Name: policy.BaselineName, Version: read.Revision, Digest: read.Digest, Pack: pack}, nil
}

// walkKind runs the phases of a run of any kind, its ranges on several workers.
func walkKind(t *testing.T, exporting *activities.Export, ref export.Ref, workers int) {
	t.Helper()
	phase := phasesOf(exporting)
	planned := build(t, exporting, ref, workers)
	in := activities.PhaseInput{Ref: ref}
	if planned.Guarded {
		var found activities.GuardResult
		require.NoError(t, phase(exporting.Guard, in, &found))
		require.False(t, found.Parked, "there is nothing to compare with")
	}
	concluding := []any{exporting.Manifest, exporting.Sign}
	if planned.Encrypted {
		concluding = append(concluding, exporting.Encrypt)
	}
	for _, activity := range append(concluding, exporting.Distribute) {
		require.NoError(t, phase(activity, in, nil))
	}
	var ended activities.EmitTimelineResult
	require.NoError(t, phase(exporting.EmitTimeline, activities.EmitTimelineInput{Ref: ref}, &ended))
	require.Equal(t, export.StateSucceeded, ended.State)
}

// phasesOf runs one activity of a run.
func phasesOf(exporting *activities.Export) func(activity, in, result any) error {
	return func(activity, in, result any) error {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestActivityEnvironment()
		env.RegisterActivity(exporting)
		answer, err := env.ExecuteActivity(activity, in)
		if err != nil || result == nil {
			return err
		}
		return answer.Get(result)
	}
}

// build runs the phases that make the payload.
func build(t *testing.T, exporting *activities.Export, ref export.Ref, workers int) (planned activities.PhaseResult) {
	t.Helper()
	phase := phasesOf(exporting)
	in := activities.PhaseInput{Ref: ref}
	require.NoError(t, phase(exporting.Plan, in, nil))
	require.NoError(t, phase(exporting.Resolve, in, &planned))
	var group errgroup.Group
	group.SetLimit(workers)
	for _, of := range planned.Ranges {
		group.Go(func() error {
			return phase(exporting.AdaptRange, activities.RangeInput{Ref: ref, Range: of}, nil)
		})
	}
	require.NoError(t, group.Wait())
	if planned.Builds {
		require.NoError(t, phase(exporting.Assemble, in, nil))
	}
	return planned
}
