package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Snapshots gives runs the policy snapshots that they name. It is Policies.
type Snapshots struct {
	// Store has the built-in snapshot too (storage.WithBaseline).
	Store storage.PolicySnapshots
}

// PolicyOf gives the snapshot that the run names, archived or not: what was asked for
// before goes on, and an old run can be made again.
func (s Snapshots) PolicyOf(ctx context.Context, run export.Run) (adapters.Policy, error) {
	id := run.Options.PolicySnapshotID
	if id == "" {
		id = export.BaselineSnapshot
	}
	snapshot, pack, err := s.Store.ReadPack(ctx, run.Tenant, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return adapters.Policy{}, storage.SnapshotRefused(id, "there is no such policy snapshot")
	case err != nil:
		return adapters.Policy{}, err
	}
	digest := bundle.DigestOf(pack)
	if digest.String() != snapshot.Digest {
		return adapters.Policy{}, fmt.Errorf("pack of policy snapshot %s: %w", id, storage.ErrCorrupt)
	}
	return adapters.Policy{ID: snapshot.ID, Name: snapshot.Name, Version: snapshot.Version, Digest: digest, Pack: pack}, nil
}
