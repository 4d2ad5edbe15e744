package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Notices puts events about no run in the outbox.
type Notices struct{ db *DB }

var _ storage.Notices = (*Notices)(nil)

// NewNotices makes the store of notices.
func NewNotices(db *DB) *Notices { return &Notices{db: db} }

// Notice records n, once; see storage.Notices.
func (s *Notices) Notice(ctx context.Context, n export.Notice) error {
	payload, err := bundle.MarshalCanonical(n)
	if err != nil {
		return fmt.Errorf("record notice %s: %w", n.EventType, err)
	}
	at, err := time.Parse(time.RFC3339Nano, n.OccurredAt)
	if err != nil {
		return fmt.Errorf("record notice %s: %w", n.EventType, err)
	}
	err = s.db.WithTenant(ctx, n.TenantID, func(tx pgx.Tx) error {
		return addOutside(ctx, tx, n.TenantID, noProject, n.EventID, n.EventType, payload, at)
	})
	if err != nil {
		return fmt.Errorf("record notice %s: %w", n.EventType, err)
	}
	return nil
}

// addOutside puts an event that is about no run in the outbox, once.
func addOutside(ctx context.Context, tx pgx.Tx, tenant, project, id, eventType string, payload []byte, at time.Time) error {
	_, err := tx.Exec(ctx, `
		insert into export_outbox (tenant, project, event_id, run_id, seq, event_type, payload, created_at)
		values ($1, $2, $3, null, 0, $4, $5, $6) on conflict (tenant, event_id) do nothing`,
		tenant, project, id, eventType, string(payload), at)
	return err
}
