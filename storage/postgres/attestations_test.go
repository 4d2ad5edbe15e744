package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// A statement stays with its signature; signatures of what a bundle has are no
// attestations.
func TestAttestations(t *testing.T) {
	w := newWorld(t)
	run := w.started(t, "acme", 1)
	claim := w.begin(t, run.Ref(), export.PhaseSign, 1)
	seal := storage.StoredSignature{Artifact: "seal", KeyID: "k", Algorithm: "ed25519", Message: digest("seal"), Signature: []byte("s")}
	attested := storage.StoredSignature{Artifact: "archive", KeyID: "k", Algorithm: "ed25519", Message: digest("statement"),
		Signature: []byte("a"), Statement: []byte(`{"_type":"x"}`)}
	for _, s := range []storage.StoredSignature{seal, attested} {
		kept, err := w.exec.KeepSignature(t.Context(), claim, s)
		require.NoError(t, err)
		require.Equal(t, s, kept)
		found, err := w.exec.FindSignature(t.Context(), claim, s.Artifact, s.KeyID, s.Message)
		require.NoError(t, err)
		require.Equal(t, &s, found)
	}
	list, err := w.runs.Attestations(t.Context(), run.Ref())
	require.NoError(t, err)
	require.Equal(t, []storage.StoredSignature{attested}, list)
	list, err = w.runs.Attestations(t.Context(), export.Ref{Tenant: "globex", RunID: run.ID})
	require.NoError(t, err)
	require.Empty(t, list)
	_, err = w.runs.Attestations(t.Context(), export.Ref{Tenant: "acme", RunID: "x"})
	require.ErrorIs(t, err, storage.ErrNotFound)
}
