package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/storage"
)

// Offboarding removes a tenant. It works as a role of its own, which deletes
// nothing of a tenant that is not being offboarded: policies see to that (00017).
type Offboarding struct{ db *DB }

var _ storage.Offboarding = (*Offboarding)(nil)

// OpenOffboarding connects as the role that removes.
func OpenOffboarding(ctx context.Context, dsn string) (*Offboarding, error) {
	if dsn == "" {
		return nil, errors.New("open database: no connection string for the role that removes tenants (database.offboard)")
	}
	pool, err := newPool(ctx, dsn, "exportcenter-offboard", 2, silent)
	if err != nil {
		return nil, fmt.Errorf("open database as the role that removes tenants: %w", err)
	}
	return &Offboarding{&DB{app: pool, notifier: newNotifier(pool)}}, nil
}

// Close ends the connections.
func (o *Offboarding) Close() { o.db.Close() }

// offboardedTables are those whose rows go, children before parents. Those of the
// blobs come first, with their blobs; the audit record comes last.
var offboardedTables = []string{
	"export_idempotency_keys", "export_plans", "export_attempts", "export_inputs", "export_sources", "export_guards", "export_events", "export_outbox",
	"export_files", "export_signatures", "export_distributions", "export_shards", "export_packed", "blob_pins", "blobs",
	"export_runs", "mirror_generations", "export_queues", "export_usage", "export_profile_heads", "export_profiles", "policy_snapshots", "orchestrator_exports",
	"ledger_terms", "ledger_superseded", "ledger_removals", "ledger_moments", "ledger_observations", "ledger_blocks", "ledger_heads",
	"audit_checkpoints", "audit_entries", "audit_heads",
}

// keptTables are those whose rows stay, and why.
var keptTables = map[string]string{
	"tenants":          "the name is never given again",
	"offboardings":     "the record of what was removed",
	"offboarding_runs": "the runs that the record is about",
	"dpop_epochs":      "the installation's own",
	"dpop_proofs":      "the installation's own; proofs end within minutes, and belong to no tenant",
}

// Tables implements storage.Offboarding.
func (o *Offboarding) Tables() []string { return slices.Clone(offboardedTables) }

// Tenant implements storage.Offboarding.
func (o *Offboarding) Tenant(ctx context.Context, name string) (export.Tenant, error) {
	return readTenantRow(ctx, o.db, name)
}

// hold keeps everybody else from removing of the tenant, until tx ends.
const hold = "select from offboardings where tenant = $1 for no key update"

// Hold implements storage.Offboarding.
func (o *Offboarding) Hold(ctx context.Context, tenant string, fn func(storage.Still) error) error {
	return o.removing(ctx, tenant, func(tx pgx.Tx) error { return fn(stillIn(tx)) })
}

// removing runs fn in a transaction that holds the tenant. Whoever reads for a row to
// remove looks it up by an index: what was removed is still in the table's pages, and
// reading on from their beginning would take longer with every batch.
func (o *Offboarding) removing(ctx context.Context, tenant string, fn func(tx pgx.Tx) error) error {
	return o.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		if tag, err := tx.Exec(ctx, hold, tenant); err != nil || tag.RowsAffected() == 0 {
			return errors.Join(err, notBegun(tenant))
		}
		var going bool
		err := tx.QueryRow(ctx, "select app_offboarding() and set_config('enable_seqscan', 'off', true) = 'off'").Scan(&going)
		if err == nil && !going {
			err = notBegun(tenant)
		}
		if err != nil {
			return err
		}
		return fn(tx)
	})
}

func notBegun(tenant string) error {
	return fmt.Errorf("tenant %s is not being offboarded, or not any more: %w", tenant, storage.ErrConflict)
}

// RemoveBlobs implements storage.Offboarding. The rows are deleted first, which
// keeps everybody else from them, and the transaction ends when the files are gone:
// cut off in between, the rows are there again, and the next attempt erases what is left.
func (o *Offboarding) RemoveBlobs(ctx context.Context, tenant string, limit int, at time.Time, erase func(bundle.Digest, storage.Still) error) (n int, err error) {
	err = o.removing(ctx, tenant, func(tx pgx.Tx) error {
		digests, err := collectDigests(tx.Query(ctx, "select sha256 from blobs where tenant = $1 order by sha256 limit $2", tenant, limit))
		if n = len(digests); err != nil || n == 0 {
			return err
		}
		pins, err := tx.Exec(ctx, "delete from blob_pins where tenant = $1 and sha256 = any ($2)", tenant, rawDigests(digests))
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "delete from blobs where tenant = $1 and sha256 = any ($2)", tenant, rawDigests(digests)); err != nil {
			return err
		}
		for _, d := range digests {
			if err := erase(d, stillIn(tx)); err != nil {
				return err
			}
		}
		return count(ctx, tx, tenant, at, map[string]int64{"blob_pins": pins.RowsAffected(), "blobs": int64(n)})
	})
	if err != nil {
		return 0, fmt.Errorf("remove blobs: %w", err)
	}
	return n, nil
}

// RemoveRows implements storage.Offboarding. A checkpoint that was made meanwhile
// goes with its entry.
func (o *Offboarding) RemoveRows(ctx context.Context, tenant, table string, limit int, at time.Time) (n int, err error) {
	if !slices.Contains(offboardedTables, table) {
		return 0, fmt.Errorf("remove rows of %.80q: it is none of the tables", table)
	}
	name := pgx.Identifier{table}.Sanitize()
	err = o.removing(ctx, tenant, func(tx pgx.Tx) error {
		removed := map[string]int64{}
		if table == "audit_entries" {
			tag, err := tx.Exec(ctx, "delete from audit_checkpoints where tenant = $1", tenant)
			if removed["audit_checkpoints"] = tag.RowsAffected(); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, `delete from `+name+` where tenant = $1
			and ctid = any (array(select ctid from `+name+` where tenant = $1 limit $2))`, tenant, limit)
		if err != nil {
			return err
		}
		n = int(tag.RowsAffected())
		removed[table] = tag.RowsAffected()
		return count(ctx, tx, tenant, at, removed)
	})
	if err != nil {
		return 0, fmt.Errorf("remove rows of %s: %w", table, err)
	}
	return n, nil
}

// count adds what the transaction removed to what was removed so far.
func count(ctx context.Context, tx pgx.Tx, tenant string, at time.Time, removed map[string]int64) error {
	for table, rows := range removed {
		if rows == 0 {
			continue
		}
		_, err := tx.Exec(ctx, `
			update offboardings set changed_at = $4,
				removed = jsonb_set(removed, array[$2::text], to_jsonb(coalesce((removed ->> $2)::bigint, 0) + $3::bigint))
			where tenant = $1`, tenant, table, rows, at)
		if err != nil {
			return err
		}
	}
	return nil
}

// End implements storage.Offboarding.
func (o *Offboarding) End(ctx context.Context, tenant string, at time.Time, sign func(offboarding.Record) ([]byte, error)) (envelope []byte, err error) {
	err = o.removing(ctx, tenant, func(tx pgx.Tx) error {
		for _, table := range offboardedTables {
			var left bool
			err := tx.QueryRow(ctx, "select exists (select from "+pgx.Identifier{table}.Sanitize()+" where tenant = $1)", tenant).Scan(&left)
			if err == nil && left {
				err = fmt.Errorf("there are rows left in %s: %w", table, storage.ErrConflict)
			}
			if err != nil {
				return err
			}
		}
		record, err := recordOfRemoval(ctx, tx, tenant)
		if err != nil {
			return err
		}
		record.EndedAt = at
		if envelope, err = sign(record); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "update offboardings set ended_at = $2, changed_at = $2, record = $3 where tenant = $1", tenant, at, string(envelope)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "update tenants set state = 'offboarded', display_name = '', offboarded_at = $2 where tenant = $1", tenant, at)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("end the offboarding of %s: %w", tenant, err)
	}
	return envelope, nil
}

// recordOfRemoval is the record but for its end.
func recordOfRemoval(ctx context.Context, tx pgx.Tx, tenant string) (r offboarding.Record, err error) {
	var found, removed string
	r.Tenant = tenant
	err = tx.QueryRow(ctx, `select t.changed_at, t.changed_by, t.change_reason, o.begun_at, o.found, o.removed::text
		from offboardings o join tenants t on t.tenant = o.tenant where o.tenant = $1`, tenant).
		Scan(&r.RequestedAt, &r.RequestedBy, &r.Reason, &r.BegunAt, &found, &removed)
	if err != nil {
		return r, err
	}
	if err := bundle.UnmarshalStrict([]byte(found), &r.Found); err != nil {
		return r, fmt.Errorf("what was found: %w", err)
	}
	var rows map[string]int64
	if err := json.Unmarshal([]byte(removed), &rows); err != nil {
		return r, fmt.Errorf("what was removed: %w", err)
	}
	for _, table := range slices.Sorted(slices.Values(offboardedTables)) {
		r.Tables = append(r.Tables, offboarding.Table{Table: table, Rows: rows[table]})
	}
	return r, nil
}
