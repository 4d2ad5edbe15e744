package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

var counted = []export.SourceCount{
	{Source: "ghsa", Stream: "npm", Kind: "advisory", Documents: 120, Records: 119, Newest: "2026-01-02T03:04:05.000000000Z"},
	{Source: "osv", Kind: "advisory", Documents: 7},
	{Source: "osv", Kind: "vex", Documents: 1, Records: 1},
}

// What the sources gave is that of the newest attempt, and nobody else's.
func TestSourcesOfARun(t *testing.T) {
	w := newWorld(t)
	ref, other := w.started(t, "acme", 1).Ref(), w.started(t, "acme", 2).Ref()
	claim := w.begin(t, ref, export.PhaseManifest, 1)
	none, err := w.exec.Sources(t.Context(), ref)
	require.NoError(t, err)
	require.Empty(t, none)
	require.NoError(t, w.exec.SaveSources(t.Context(), claim, []export.SourceCount{{Source: "gone", Kind: "advisory", Documents: 3}}))
	require.NoError(t, w.exec.SaveSources(t.Context(), w.begin(t, other, export.PhaseManifest, 1), counted[:1]))

	require.NoError(t, w.exec.SaveSources(t.Context(), w.begin(t, ref, export.PhaseManifest, 2), counted))
	require.ErrorIs(t, w.exec.SaveSources(t.Context(), claim, counted[:1]), storage.ErrStale)
	before := w.fingerprint(t)
	got, err := w.exec.Sources(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, counted, got)
	require.NoError(t, w.exec.SaveSources(t.Context(), w.begin(t, ref, export.PhaseManifest, 2), counted))
	require.Equal(t, before, w.fingerprint(t), "repeating has no effect")
	got, err = w.exec.Sources(t.Context(), other)
	require.NoError(t, err)
	require.Equal(t, counted[:1], got)
	foreign, err := w.exec.Sources(t.Context(), export.Ref{Tenant: "globex", RunID: ref.RunID})
	require.NoError(t, err)
	require.Empty(t, foreign)

	twice := append(counted[:1:1], counted[0])
	require.Error(t, w.exec.SaveSources(t.Context(), w.begin(t, ref, export.PhaseManifest, 3), twice))
}
