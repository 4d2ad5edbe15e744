package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/oracle"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// reads reads the run's files, from the first moment to the last.
func (s *scene) reads(ctx context.Context) error {
	objects, err := files.OpenSurvey(s.blobs)
	if err != nil {
		return err
	}
	defer objects.Close()
	reader := oracle.Reader{Runs: postgres.NewRuns(s.world.db.DB), Objects: opener{objects}}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(150 * time.Millisecond):
		}
		if err := s.readsOnce(ctx, reader); err != nil && ctx.Err() == nil {
			return fmt.Errorf("a reader saw: %w", err)
		}
	}
}

// readsOnce reads whatever run the tenant has: its id may not be acknowledged yet.
func (s *scene) readsOnce(ctx context.Context, reader oracle.Reader) error {
	page, _, err := reader.Runs.ListRuns(ctx, s.ref.Tenant, storage.RunFilter{Limit: 10})
	if err != nil {
		return err
	}
	for _, run := range page {
		if err := reader.Look(ctx, run.Ref()); err != nil {
			return err
		}
	}
	return nil
}

// opener opens blobs of a survey by tenant.
type opener struct{ *files.Survey }

func (o opener) Open(ctx context.Context, tenant string, digest bundle.Digest) (storage.Blob, error) {
	return o.Survey.Open(ctx, storage.Namespace(tenant), digest)
}
