package frontendtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// SignAudit signs how far a tenant's audit record has come, as a worker does, and
// gives the key.
func (w *World) SignAudit(t testing.TB, tenant string) signing.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer, err := signing.NewSigner(key)
	require.NoError(t, err)
	end, err := w.Audit.End(t.Context(), tenant)
	require.NoError(t, err)
	envelope, err := audit.Checkpoint{Tenant: tenant, Seq: end.Seq, Hash: end.Hash, At: w.Now()}.Sign(t.Context(), signer)
	require.NoError(t, err)
	require.NoError(t, w.Audit.KeepCheckpoint(t.Context(), tenant, storage.SignedCheckpoint{Link: end, Envelope: envelope}))
	return signer
}
