package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	sdkworker "go.temporal.io/sdk/worker"
)

func TestBareWorkflowHasAsManyActivities(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(sdkworker.Options{DeadlockDetectionTimeout: time.Minute}) // a busy machine is no deadlock
	env.RegisterActivity(bareActivity)
	env.OnActivity(bareActivity, mock.Anything, bareInput{7}).Return(nil).Times(7)
	env.ExecuteWorkflow(bareWorkflow, bareInput{7})
	require.True(t, env.IsWorkflowCompleted())
	require.NoError(t, env.GetWorkflowError())
	env.AssertExpectations(t)
}

func TestTheSmallestDocumentIsAlone(t *testing.T) {
	one, err := writeOne(t.TempDir(), sampleDir)
	require.NoError(t, err)
	raw, err := os.ReadFile(one.path)
	require.NoError(t, err)
	read := parse(t, raw)
	require.Equal(t, one.product, read.Subject)
	for _, line := range generate(t, options{documents: 200, seed: 1, sample: sampleDir}) {
		other := parse(t, line)
		require.NotContains(t, other.Products, one.product)
		require.NotEqual(t, read.UpstreamID, other.UpstreamID)
	}
	_, err = writeOne(t.TempDir(), t.TempDir())
	require.ErrorContains(t, err, "no advisories")
}

func TestSelectorsFallBackToWhatTheReleaseKnows(t *testing.T) {
	selected, words := single{source: "here", product: "pkg:npm/fern"}.selectors()
	require.NotEmpty(t, words)
	require.NotEqual(t, len(selected.Sources) > 0, words == "product pkg:npm/fern")
}
