package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

const (
	// notaryEvery is how long an entry of the audit record waits for its checkpoint.
	notaryEvery = 5 * time.Second
	// notaryPage bounds one list of chains.
	notaryPage = 100
	// notaryPatience bounds a list of chains, and one chain's checkpoint: one that
	// stands still does not keep the others from theirs.
	notaryPatience = 5 * time.Second
)

// Notary signs how far the audit records have come. Several may work beside each
// other: the first checkpoint of a place stays.
type Notary struct {
	Chains storage.Notary
	Signer signing.Signer
	Clock  clock.Clock
	Log    *slog.Logger
}

// Run signs until ctx ends.
func (n *Notary) Run(ctx context.Context) {
	ticker := time.NewTicker(notaryEvery)
	defer ticker.Stop()
	for {
		if err := n.SignAll(ctx); err != nil && ctx.Err() == nil {
			n.Log.WarnContext(ctx, "cannot sign the audit record; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// SignAll gives every chain with new entries a checkpoint. One that cannot be
// signed does not keep the others from theirs.
func (n *Notary) SignAll(ctx context.Context) (failed error) {
	after := ""
	for {
		tenants, err := n.unsigned(ctx, after)
		if err != nil {
			return errors.Join(failed, err)
		}
		for _, tenant := range tenants {
			if err := n.sign(ctx, tenant); err != nil {
				failed = errors.Join(failed, fmt.Errorf("tenant %s: %w", tenant, err))
			}
			after = tenant
		}
		if len(tenants) < notaryPage || ctx.Err() != nil {
			return failed
		}
	}
}

func (n *Notary) unsigned(ctx context.Context, after string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, notaryPatience)
	defer cancel()
	return n.Chains.Unsigned(ctx, after, notaryPage)
}

func (n *Notary) sign(ctx context.Context, tenant string) error {
	ctx, cancel := context.WithTimeout(ctx, notaryPatience)
	defer cancel()
	end, err := n.Chains.End(ctx, tenant)
	if err != nil {
		return err
	}
	envelope, err := audit.Checkpoint{Tenant: tenant, Seq: end.Seq, Hash: end.Hash, At: n.Clock()}.Sign(ctx, n.Signer)
	if err != nil {
		return err
	}
	return n.Chains.KeepCheckpoint(ctx, tenant, storage.SignedCheckpoint{Link: end, Envelope: envelope})
}
