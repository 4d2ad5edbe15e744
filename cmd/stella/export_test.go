package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
)

// What a run is that is not its profile's next one is shown, alone and in lists.
func TestRunsThatAreNoNewsSaySo(t *testing.T) {
	seq := int64(8993)
	for want, run := range map[string]client.Run{
		"":                      {},
		"as of 8993":            {Options: client.RunOptions{AsOf: &seq}, AsOf: seq},
		"of mirror R":           {Options: client.RunOptions{MirrorRunID: "R"}, AsOf: 7},
		"rebuild of R":          {RebuildOf: "R"},
		"encrypted":             {Encryption: &client.RunEncryption{Mode: "age", Recipients: []string{"age1a"}}},
		"as of 8993, encrypted": {Options: client.RunOptions{AsOf: &seq}, Encryption: &client.RunEncryption{Mode: "age"}},
	} {
		require.Equal(t, want, note(run))
	}
	rows := statusRows(client.Run{RebuildOf: "A", Options: client.RunOptions{MirrorRunID: "B"}, Encryption: &client.RunEncryption{Mode: "age", Recipients: []string{"age1a"}}})
	require.Contains(t, rows, []string{"rebuild of", "A"})
	require.Contains(t, rows, []string{"of mirror", "B"})
	require.Contains(t, rows, []string{"encrypted", "mode age, for age1a"})
}
