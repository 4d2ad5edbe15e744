package worker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/storagetest"
	"github.com/stella-ops/exportcenter/worker"
)

// hiding lets the end of one chain not be read.
type hiding struct {
	*storagetest.AuditRecord
	tenant string
}

func (h hiding) End(ctx context.Context, tenant string) (audit.Link, error) {
	if tenant == h.tenant {
		return audit.Link{}, errors.New("cannot be read")
	}
	return h.AuditRecord.End(ctx, tenant)
}

// Every chain gets its checkpoint, and one that cannot have it does not keep the
// others from theirs.
func TestNotarySignsEveryChain(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer, err := signing.NewSigner(key)
	require.NoError(t, err)
	public, err := signing.NewVerifier(key.Public())
	require.NoError(t, err)
	record := storagetest.NewAudit()
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	entry := audit.Entry{At: now, Event: audit.CallRefused, RequestID: "1", Method: "GET"}
	const tenants = 205 // more than two pages
	for i := range tenants {
		require.NoError(t, record.Append(t.Context(), fmt.Sprintf("t%03d", i), []audit.Entry{entry}))
	}
	notary := worker.Notary{Chains: hiding{record, "t007"}, Signer: signer, Clock: clock.Fixed(now)}
	require.ErrorContains(t, notary.SignAll(t.Context()), "tenant t007")

	for i := range tenants {
		tenant := fmt.Sprintf("t%03d", i)
		signed, err := record.Checkpoint(t.Context(), tenant)
		if tenant == "t007" {
			require.ErrorIs(t, err, storage.ErrNotFound)
			continue
		}
		require.NoError(t, err)
		checkpoint, _, err := audit.OpenCheckpoint(signed.Envelope, []signing.Verifier{public})
		require.NoError(t, err)
		require.Equal(t, tenant, checkpoint.Tenant)
		require.Equal(t, signed.Link, audit.Link{Seq: checkpoint.Seq, Hash: checkpoint.Hash})
	}
}
