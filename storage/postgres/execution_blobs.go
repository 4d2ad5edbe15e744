package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// How long and how often Pin waits for a blob that is being deleted.
const (
	pinPatience = 5 * time.Second
	pinPause    = 20 * time.Millisecond
)

// Pin keeps a blob from the collector.
func (e *Execution) Pin(ctx context.Context, c storage.Claim, digest bundle.Digest, size int64) error {
	return e.PinAll(ctx, c, []storage.Sized{{Digest: digest, Size: size}})
}

// PinAll pins blobs in one transaction. Between the mark of DropBlobs and
// EraseBlobs a blob may vanish at any moment, so it waits for the latter.
func (e *Execution) PinAll(ctx context.Context, c storage.Claim, blobs []storage.Sized) error {
	// In the order in which everybody locks blobs, each once.
	blobs = slices.Clone(blobs)
	slices.SortFunc(blobs, func(x, y storage.Sized) int { return bytes.Compare(x.Digest[:], y.Digest[:]) })
	blobs = slices.CompactFunc(blobs, func(x, y storage.Sized) bool { return x.Digest == y.Digest })
	for waited := time.Duration(0); ; waited += pinPause {
		pinned, err := e.tryPin(ctx, c, blobs)
		if err != nil || pinned == len(blobs) {
			return err
		}
		if waited >= pinPatience {
			return &export.Error{Code: export.CodeUnavailable, Class: export.ClassTransient,
				Message: fmt.Sprintf("%d of %d blobs are being deleted on behalf of a run that ended; try again", len(blobs)-pinned, len(blobs))}
		}
		if err := sleep(ctx, pinPause); err != nil {
			return fmt.Errorf("pin %d blobs: %w", len(blobs), err)
		}
	}
}

// tryPin pins the blobs that are not being deleted and counts them. The locks
// on their rows keep DropBlobs from judging them before the pins are committed.
func (e *Execution) tryPin(ctx context.Context, c storage.Claim, blobs []storage.Sized) (pinned int, err error) {
	digests, sizes := make([][]byte, len(blobs)), make([]int64, len(blobs))
	for i := range blobs {
		digests[i], sizes[i] = blobs[i].Digest[:], blobs[i].Size
	}
	err = e.claimed(ctx, c, "pin blobs", func(tx pgx.Tx, run export.Run) error {
		project := projectColumn(run.Project)
		batch := &pgx.Batch{}
		batch.Queue(`
			insert into blobs (tenant, project, sha256, size, state)
			select $1, $2, b.sha256, b.size, 'live'
			from unnest($3::bytea[], $4::bigint[]) with ordinality as b (sha256, size, n) order by b.n
			on conflict do nothing`,
			run.Tenant, project, digests, sizes)
		// One statement: pins are made of the very rows that are locked. Between
		// two, a row may go and another come, which then is pinned unlocked. A row
		// that was forgotten just now is not counted: the next try inserts it.
		batch.Queue(`
			with held as materialized (
				select sha256, state = 'live' as live from blobs where tenant = $1 and sha256 = any ($2)
				order by sha256 for share
			), pinned as (
				insert into blob_pins (tenant, project, sha256, run_id, part)
				select $1, $3, h.sha256, $4, $5 from held h where h.live on conflict do nothing
			)
			select count(*) from held where live`, run.Tenant, digests, project, run.ID, madeAnew(c))
		results := tx.SendBatch(ctx, batch)
		if _, err := results.Exec(); err != nil {
			return errors.Join(err, results.Close())
		}
		err := results.QueryRow().Scan(&pinned)
		return errors.Join(err, results.Close())
	})
	return pinned, err
}

// unkept: no run pins blob b, and no bundle has it. Nobody can pin what is
// marked; it is asked of marked blobs too, as the rows may come from elsewhere.
const unkept = `not exists (select from blob_pins p where p.tenant = b.tenant and p.sha256 = b.sha256)
	and not exists (select from export_files f where f.tenant = b.tenant and f.digest = b.sha256)`

// DropBlobs forgets plan, pins and files of a run that ended without a bundle
// and marks the blobs that nobody else needs.
func (e *Execution) DropBlobs(ctx context.Context, ref export.Ref) (marked []bundle.Digest, err error) {
	err = e.afterEnd(ctx, ref, func(tx pgx.Tx) error {
		if err := dropRows(ctx, tx, ref); err != nil {
			return err
		}
		marked, err = collectDigests(tx.Query(ctx, `
			select sha256 from blobs b where tenant = $1 and deleting_for = $2 and state = 'deleting' and `+unkept+`
			order by sha256`,
			ref.Tenant, ref.RunID))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("drop blobs: %w", err)
	}
	return marked, nil
}

// dropRows removes what the run has and marks what is left alone. Each
// statement sees what the ones before it did, and the locks of the first see
// to it that no pin appears between the look and the mark.
func dropRows(ctx context.Context, tx pgx.Tx, ref export.Ref) error {
	var candidates [][]byte
	rows, err := tx.Query(ctx, `
		select b.sha256 from blobs b where b.tenant = $1 and b.sha256 in
			(select p.sha256 from blob_pins p where p.tenant = $1 and p.run_id = $2)
		order by b.sha256 for update of b`, ref.Tenant, ref.RunID)
	if err != nil {
		return err
	}
	if candidates, err = pgx.CollectRows(rows, pgx.RowTo[[]byte]); err != nil {
		return err
	}
	for _, statement := range []string{
		`delete from blob_pins where tenant = $1 and run_id = $2`,
		`delete from export_files where tenant = $1 and run_id = $2`,
		`update export_inputs set result_digest = null, result_size = null, result_records = null,
			result_content_digest = null, result_content_size = null
		where tenant = $1 and run_id = $2 and result_digest is not null`,
		`update export_runs set plan_digest = null where tenant = $1 and id = $2 and plan_digest is not null`,
	} {
		if _, err := tx.Exec(ctx, statement, ref.Tenant, ref.RunID); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `
		update blobs b set state = 'deleting', deleting_for = $2
		where b.tenant = $1 and b.sha256 = any($3) and b.state = 'live' and `+unkept,
		ref.Tenant, ref.RunID, candidates)
	return err
}

// EraseBlobs erases blobs while it holds their marks. An attempt that stalls in
// the middle keeps them locked until the server ends its transaction (silent).
// The marks stay, so a pin waits on; the next attempt goes on, and meets the
// stalled one where blobs are removed: there, either it waits for that one's
// removal, or that one asks whether its transaction lives, and removes nothing.
func (e *Execution) EraseBlobs(ctx context.Context, ref export.Ref, digests []bundle.Digest, erase func(bundle.Digest, storage.Still) error) error {
	err := e.afterEnd(ctx, ref, func(tx pgx.Tx) error {
		marked, err := collectDigests(tx.Query(ctx, `
			select sha256 from blobs b
			where tenant = $1 and deleting_for = $2 and state = 'deleting' and sha256 = any($3) and `+unkept+`
			order by sha256 for update`, ref.Tenant, ref.RunID, rawDigests(digests)))
		if err != nil {
			return err
		}
		for _, d := range marked {
			if err := erase(d, stillIn(tx)); err != nil {
				return err
			}
		}
		raw := rawDigests(marked)
		if err := forgetPackedIn(ctx, tx, ref.Tenant, raw); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			delete from blobs where tenant = $1 and deleting_for = $2 and state = 'deleting' and sha256 = any($3)`,
			ref.Tenant, ref.RunID, raw)
		return err
	})
	if err != nil {
		return fmt.Errorf("erase blobs: %w", err)
	}
	return nil
}

// stillIn asks the server whether a transaction lives, and with it its locks.
func stillIn(tx pgx.Tx) storage.Still {
	return func(ctx context.Context) error {
		_, err := tx.Exec(ctx, "select")
		return err
	}
}

func rawDigests(digests []bundle.Digest) [][]byte {
	raw := make([][]byte, len(digests))
	for i := range digests {
		raw[i] = digests[i][:]
	}
	return raw
}

func collectDigests(rows pgx.Rows, err error) ([]bundle.Digest, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (d bundle.Digest, err error) {
		return d, row.Scan((*digestColumn)(&d))
	})
}

// afterEnd runs fn in a transaction that holds the row of a run which ended
// without a bundle.
func (e *Execution) afterEnd(ctx context.Context, ref export.Ref, fn func(tx pgx.Tx) error) error {
	if !export.ValidRunID(ref.RunID) {
		return absentRun(ref)
	}
	return e.db.WithTenant(ctx, ref.Tenant, func(tx pgx.Tx) error {
		run, err := lockRun(ctx, tx, ref)
		if err != nil {
			return err
		}
		if !run.State.Terminal() || run.State.Downloadable() && run.RebuildOf == "" {
			return fmt.Errorf("run %s is %s: %w", run.ID, run.State, storage.ErrConflict)
		}
		return fn(tx)
	})
}
