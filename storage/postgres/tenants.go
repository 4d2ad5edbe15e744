package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Tenants manages the tenants of an installation. Names and states of all it reads as
// the dispatcher, who sees nothing else of them; one tenant it reads and changes as
// the service, inside that tenant's own wall.
type Tenants struct{ db *DB }

var (
	_ storage.Tenants            = (*Tenants)(nil)
	_ storage.OffboardingRecords = (*Tenants)(nil)
)

// NewTenants makes the view; db must have been opened with Config.Dispatch.
func NewTenants(db *DB) *Tenants { return &Tenants{db: db} }

// CreateTenant implements storage.Tenants.
func (t *Tenants) CreateTenant(ctx context.Context, tenant export.Tenant) error {
	var added int64
	err := t.db.WithTenant(ctx, tenant.Name, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `insert into tenants (tenant, state, display_name, created_at, created_by)
			values ($1, $2, $3, $4, $5) on conflict do nothing`,
			tenant.Name, tenant.State, tenant.DisplayName, tenant.CreatedAt, tenant.CreatedBy)
		added = tag.RowsAffected()
		return err
	})
	if err == nil && added == 0 {
		err = storage.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("create tenant %s: %w", tenant.Name, err)
	}
	return nil
}

const tenantColumns = "t.tenant, state, display_name, created_at, created_by, changed_at, changed_by, change_reason, max_runs_per_day, max_bytes, offboarded_at"

// readTenantSQL also has what tenant $1 uses.
const readTenantSQL = "select " + tenantColumns + `,
  coalesce(u.runs, 0) * (u.day = (clock_timestamp() at time zone 'UTC')::date)::int, u.bytes
from tenants t left join export_usage u on u.tenant = t.tenant and u.profile_id = '' where t.tenant = $1`

// GetTenant implements storage.Tenants.
func (t *Tenants) GetTenant(ctx context.Context, name string) (export.Tenant, error) {
	return readTenantRow(ctx, t.db, name)
}

func readTenantRow(ctx context.Context, db *DB, name string) (tenant export.Tenant, err error) {
	err = db.readOnce(ctx, name, func(rows pgx.Rows) (err error) {
		tenant, err = pgx.CollectExactlyOneRow(rows, scanTenant)
		return err
	}, readTenantSQL, name)
	return tenant, tenantError("read", name, err)
}

// ChangeTenant implements storage.Tenants.
func (t *Tenants) ChangeTenant(ctx context.Context, name string, state export.TenantState, change export.TenantChange) (export.Tenant, error) {
	return t.change(ctx, name, func(tx pgx.Tx, tenant *export.Tenant) error {
		if tenant.State == state {
			return nil
		}
		if tenant.State.Leaves() {
			return fmt.Errorf("it is %s: %w", tenant.State, storage.ErrConflict)
		}
		tenant.State, tenant.Change = state, &change
		return saveTenant(ctx, tx, *tenant)
	})
}

// SetQuotas implements storage.Tenants.
func (t *Tenants) SetQuotas(ctx context.Context, name string, q export.TenantQuotas) (export.Tenant, error) {
	return t.change(ctx, name, func(tx pgx.Tx, tenant *export.Tenant) error {
		if tenant.State.Leaves() {
			return fmt.Errorf("it is %s: %w", tenant.State, storage.ErrConflict)
		}
		tenant.Quotas = q
		_, err := tx.Exec(ctx, "update tenants set max_runs_per_day = $2, max_bytes = $3 where tenant = $1", name, q.RunsPerDay, q.Bytes)
		return err
	})
}

// OffboardTenant implements storage.Tenants. Requests for runs are counted under the
// lock of the tenant's queue: while it is held, none comes.
func (t *Tenants) OffboardTenant(ctx context.Context, name string, change export.TenantChange, after time.Duration) (export.Tenant, error) {
	return t.change(ctx, name, func(tx pgx.Tx, tenant *export.Tenant) error {
		if tenant.State.Leaves() {
			return nil
		}
		if err := tenant.MayLeave(change.At, after); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "select from export_queues where tenant = $1 for update", name); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "select id from export_runs where tenant = $1 and status in ('pending', 'running', 'waiting') and (status = 'waiting' or not "+queued+") order by id", name)
		if err != nil {
			return err
		}
		working, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if len(working) > 0 {
			return export.RunsAtWork(working)
		}
		tenant.State, tenant.Change = export.TenantOffboarding, &change
		return saveTenant(ctx, tx, *tenant)
	})
}

// change gives fn a tenant whose row nobody else changes meanwhile, and gives it as fn
// leaves it.
func (t *Tenants) change(ctx context.Context, name string, fn func(tx pgx.Tx, tenant *export.Tenant) error) (tenant export.Tenant, err error) {
	err = t.db.WithTenant(ctx, name, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, readTenantSQL+" for no key update of t", name)
		if err != nil {
			return err
		}
		if tenant, err = pgx.CollectExactlyOneRow(rows, scanTenant); err != nil {
			return err
		}
		return fn(tx, &tenant)
	})
	return tenant, tenantError("change", name, err)
}

// saveTenant writes a tenant's state and who wanted it.
func saveTenant(ctx context.Context, tx pgx.Tx, t export.Tenant) error {
	_, err := tx.Exec(ctx, "update tenants set state = $2, changed_at = $3, changed_by = $4, change_reason = $5 where tenant = $1",
		t.Name, t.State, t.Change.At, t.Change.By, t.Change.Reason)
	return err
}

func tenantError(what, name string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		err = storage.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("%s tenant %s: %w", what, name, err)
	}
	return nil
}

func scanTenant(row pgx.CollectableRow) (export.Tenant, error) {
	var t export.Tenant
	var created, changed, offboarded *time.Time
	var change export.TenantChange
	var runs, bytes *int64 // null before the first run
	if err := row.Scan(&t.Name, &t.State, &t.DisplayName, &created, &t.CreatedBy, &changed, &change.By, &change.Reason,
		&t.Quotas.RunsPerDay, &t.Quotas.Bytes, &offboarded, &runs, &bytes); err != nil {
		return t, err
	}
	if runs != nil && bytes != nil {
		t.Usage = export.TenantUsage{RunsToday: *runs, Bytes: *bytes}
	}
	t.OffboardedAt = timeOf(offboarded)
	if created != nil {
		t.CreatedAt = created.UTC()
	}
	if changed != nil {
		change.At = changed.UTC()
		t.Change = &change
	}
	return t, nil
}

// ListTenants implements storage.Tenants.
func (t *Tenants) ListTenants(ctx context.Context, after string, limit int) ([]export.Tenant, error) {
	return t.names(ctx, "select tenant, state from tenants where tenant > $1 order by tenant limit $2", after, limit)
}

// ClosedTenants implements storage.Tenants.
func (t *Tenants) ClosedTenants(ctx context.Context) ([]export.Tenant, error) {
	return t.names(ctx, "select tenant, state from tenants where state <> 'active'")
}

func (t *Tenants) names(ctx context.Context, sql string, args ...any) ([]export.Tenant, error) {
	if t.db.dispatch == nil {
		return nil, errors.New("list tenants: no connection string for the dispatcher (database.dispatch)")
	}
	rows, err := t.db.dispatch.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", classify("query", err))
	}
	tenants, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t export.Tenant, err error) {
		return t, row.Scan(&t.Name, &t.State)
	})
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", classify("query", err))
	}
	return tenants, nil
}
