package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/storage"
)

// foundAtOnce bounds a page of the runs that are noted.
const foundAtOnce = 1000

// Begin implements storage.Offboarding. Nobody writes to a tenant that is being
// offboarded, so what it reads belongs together.
func (o *Offboarding) Begin(ctx context.Context, tenant string, at time.Time, blobs offboarding.Blobs) error {
	err := o.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		var going, begun bool
		err := tx.QueryRow(ctx, "select app_offboarding(), exists (select from offboardings where tenant = $1)", tenant).Scan(&going, &begun)
		if err == nil && !going {
			err = notBegun(tenant)
		}
		if err != nil || begun {
			return err
		}
		found := offboarding.Found{Blobs: blobs}
		if err := findCounts(ctx, tx, tenant, &found); err != nil {
			return err
		}
		if found.Runs, err = digestRuns(ctx, tx, tenant, nil); err != nil {
			return err
		}
		text, err := bundle.MarshalCanonical(found)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `insert into offboardings (tenant, begun_at, found, changed_at) values ($1, $2, $3, $2) on conflict do nothing`,
			tenant, at, string(text))
		if err != nil || tag.RowsAffected() == 0 { // somebody else has begun just now
			return err
		}
		_, err = digestRuns(ctx, tx, tenant, func(ids, lines []string) error {
			_, err := tx.Exec(ctx, "insert into offboarding_runs (tenant, id, line) select $1, * from unnest($2::text[], $3::text[])", tenant, ids, lines)
			return err
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("note what tenant %s has: %w", tenant, err)
	}
	return nil
}

func findCounts(ctx context.Context, tx pgx.Tx, tenant string, f *offboarding.Found) error {
	var end []byte
	err := tx.QueryRow(ctx, `
		select coalesce((select seq from ledger_heads where tenant = $1), 0),
			(select count(*) from ledger_observations where tenant = $1),
			coalesce((select seq from audit_heads where tenant = $1), 0),
			coalesce((select hash from audit_heads where tenant = $1), decode(repeat('00', 32), 'hex'))`, tenant).
		Scan(&f.Ledger.Head, &f.Ledger.Documents, &f.Audit.Seq, &end)
	if err == nil {
		f.Audit.Hash = bundle.Digest(end)
	}
	return err
}

// digestRuns reads a tenant's runs by id and hashes their lines; keep may be nil.
func digestRuns(ctx context.Context, tx pgx.Tx, tenant string, keep func(ids, lines []string) error) (runs offboarding.Runs, err error) {
	sum := sha256.New()
	for after := ""; ; {
		ids, lines, err := linesOfRuns(ctx, tx, tenant, after, sum)
		if err == nil && keep != nil && len(ids) > 0 {
			err = keep(ids, lines)
		}
		if err != nil {
			return runs, err
		}
		runs.Count += int64(len(ids))
		if len(ids) < foundAtOnce {
			runs.Digest = bundle.Digest(sum.Sum(nil))
			return runs, nil
		}
		after = ids[len(ids)-1]
	}
}

func linesOfRuns(ctx context.Context, tx pgx.Tx, tenant, after string, sum hash.Hash) (ids, lines []string, err error) {
	rows, err := tx.Query(ctx, `select id, status, requested_at, manifest_digest, archive_digest from export_runs
		where tenant = $1 and id > $2 order by id limit $3`, tenant, after, foundAtOnce)
	if err != nil {
		return nil, nil, err
	}
	var r offboarding.Run
	_, err = pgx.ForEachRow(rows, []any{&r.ID, &r.State, &r.RequestedAt, &r.Manifest, &r.Archive}, func() error {
		line, err := r.Line()
		if err != nil {
			return err
		}
		sum.Write(append(line, '\n')) //nolint:errcheck // never fails (hash.Hash)
		ids, lines = append(ids, r.ID), append(lines, string(line))
		return nil
	})
	return ids, lines, err
}

// OffboardingRecord implements storage.OffboardingRecords.
func (t *Tenants) OffboardingRecord(ctx context.Context, tenant string) ([]byte, error) {
	var record *string
	err := t.db.readOnce(ctx, tenant, func(rows pgx.Rows) (err error) {
		record, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[*string])
		return err
	}, "select record from offboardings where tenant = $1", tenant)
	if err == nil && record == nil {
		err = storage.ErrNotFound
	}
	if err != nil {
		return nil, tenantError("read the offboarding record of", tenant, err)
	}
	return []byte(*record), nil
}

// OffboardedRuns implements storage.OffboardingRecords.
func (t *Tenants) OffboardedRuns(ctx context.Context, tenant, after string, limit int) (lines [][]byte, last string, err error) {
	err = t.db.readOnce(ctx, tenant, func(rows pgx.Rows) error {
		var line string
		_, err := pgx.ForEachRow(rows, []any{&last, &line}, func() error {
			lines = append(lines, []byte(line))
			return nil
		})
		return err
	}, "select id, line from offboarding_runs where tenant = $1 and id > $2 order by id limit $3", tenant, storable(after), limit)
	if err != nil {
		return nil, "", tenantError("read the offboarded runs of", tenant, err)
	}
	return lines, last, nil
}
