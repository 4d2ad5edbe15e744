package activities

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// sorting is a ledger that takes its time before the first document.
type sorting struct{ ledger.Store }

var errSorted = errors.New("sorted")

func (sorting) Current(context.Context, string, string, int64, export.Selectors, ledger.KeyRange, func(ledger.Row) error) error {
	time.Sleep(5 * heartbeatEvery / 2)
	return errSorted
}

// fresh are the rows of a run whose selection was never planned.
type fresh struct{ storage.Execution }

func (fresh) LastPlan(context.Context, export.Run, bundle.Digest) (int64, []storage.Shard, error) {
	return 0, nil, storage.ErrNotFound
}

func (fresh) BeginPart(context.Context, export.Ref, export.Phase, string, int64) (storage.Claim, export.Run, error) {
	return storage.Claim{}, export.Run{}, nil
}

// While the database sorts, Resolve has nothing to report, and must not fall
// silent: a million documents take longer than the longest silence.
func TestResolveBeatsBeforeTheFirstDocument(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	var beats atomic.Int64
	env.SetOnActivityHeartbeatListener(func(*activity.Info, converter.EncodedValues) { beats.Add(1) })
	e := &Export{Ledger: sorting{}, Execution: fresh{}}
	env.RegisterActivityWithOptions(func(ctx context.Context) error {
		_, err := e.resolve(ctx, export.Ref{Tenant: "demo"})
		return err
	}, activity.RegisterOptions{Name: "resolve"})
	_, err := env.ExecuteActivity("resolve")
	require.ErrorContains(t, err, errSorted.Error())
	require.EqualValues(t, 2, beats.Load())
}
