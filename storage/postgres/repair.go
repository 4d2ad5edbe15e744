package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Repair is what `fsck --repair` does to rows. It works as the service, behind
// one tenant's wall, and so can do nothing that the service cannot: neither the
// ledger nor the end of a run changes. Each method is one transaction that looks
// once more under the locks that runs take, so it may work beside them.
type Repair struct{ *Execution }

// NewRepair makes fsck's way to mend.
func NewRepair(db *DB) *Repair { return &Repair{NewExecution(db)} }

// needed is the condition that something besides pins refers to blob $2.
const needed = `
  exists (select from export_files f where f.tenant = $1 and f.digest = $2)
  or exists (select from export_runs r where r.tenant = $1 and r.plan_digest = $2)
  or exists (select from export_inputs i where i.tenant = $1 and i.result_digest = $2)`

// EraseUnrecorded erases a blob without row while it holds a row in its place:
// a run that pins the blob waits at the unique key until this has ended, then
// records it, and stores it anew. Should the transaction end before the erasing
// does, the run waits for that where it stores it (Objects.DeleteUnmarked). It
// waits for whoever is erasing the blob just now: the file may be younger than
// what that one has removed.
func (e *Execution) EraseUnrecorded(ctx context.Context, tenant string, digest bundle.Digest, erase func(storage.Still) error) (done bool, err error) {
	err = e.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		done = false
		tag, err := tx.Exec(ctx, "select from blobs where tenant = $1 and sha256 = $2 for share", tenant, digest[:])
		if err != nil || tag.RowsAffected() > 0 { // it is recorded
			return err
		}
		tag, err = tx.Exec(ctx, `
			insert into blobs (tenant, project, sha256, size, state) values ($1, $2, $3, 0, 'live') on conflict do nothing`,
			tenant, noProject, digest[:])
		if err != nil || tag.RowsAffected() == 0 { // it has been recorded meanwhile
			return err
		}
		if done, err = eraseHeld(ctx, tx, tenant, digest, erase); err != nil || done {
			return err
		}
		return forgetBlob(ctx, tx, tenant, digest)
	})
	if err != nil {
		return false, fmt.Errorf("erase blob %s without row: %w", digest, err)
	}
	return done, nil
}

// EraseUnneeded erases a blob that nobody keeps while it holds its row: a run
// that pins the blob waits, finds that the row is gone, and records it again.
func (r *Repair) EraseUnneeded(ctx context.Context, tenant string, digest bundle.Digest, erase func(storage.Still) error) (done bool, err error) {
	err = r.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		done = false
		// Two statements: the second sees the pins of whom the first waited for.
		tag, err := tx.Exec(ctx, `
			select from blobs where tenant = $1 and sha256 = $2 and state = 'live' for update`, tenant, digest[:])
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		var pinned bool
		err = tx.QueryRow(ctx, `select exists (select from blob_pins where tenant = $1 and sha256 = $2)`, tenant, digest[:]).Scan(&pinned)
		if err != nil || pinned {
			return err
		}
		done, err = eraseHeld(ctx, tx, tenant, digest, erase)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("erase blob %s that no run keeps: %w", digest, err)
	}
	return done, nil
}

// eraseHeld erases a blob whose row the transaction holds, and forgets the row,
// unless something refers to it.
func eraseHeld(ctx context.Context, tx pgx.Tx, tenant string, digest bundle.Digest, erase func(storage.Still) error) (bool, error) {
	var keep bool
	if err := tx.QueryRow(ctx, "select "+needed, tenant, digest[:]).Scan(&keep); err != nil {
		return false, err
	}
	if keep {
		return false, nil
	}
	if err := erase(stillIn(tx)); err != nil {
		return false, err
	}
	if err := forgetPackedIn(ctx, tx, tenant, [][]byte{digest[:]}); err != nil {
		return false, err
	}
	return true, forgetBlob(ctx, tx, tenant, digest)
}

func forgetBlob(ctx context.Context, tx pgx.Tx, tenant string, digest bundle.Digest) error {
	_, err := tx.Exec(ctx, "delete from blobs where tenant = $1 and sha256 = $2", tenant, digest[:])
	return err
}

// forgetPackedIn forgets what was packed into blobs that the transaction is
// erasing: nobody can pin them meanwhile, so nobody notes them again.
func forgetPackedIn(ctx context.Context, tx pgx.Tx, tenant string, digests [][]byte) error {
	_, err := tx.Exec(ctx, "delete from export_packed where tenant = $1 and digest = any ($2)", tenant, digests)
	return err
}

// RaiseCounter gives a run the number of its last event. A counter that is too
// high may be the trace of an event that is lost, and that of a run that has
// ended stays as it is: neither is touched.
func (r *Repair) RaiseCounter(ctx context.Context, ref export.Ref) (bool, error) {
	return r.change(ctx, ref, "raise the counter of events", `
		update export_runs r set event_seq = e.last
		from (select max(seq) as last, count(*) as events from export_events where tenant = $1 and run_id = $2) e
		where r.tenant = $1 and r.id = $2 and r.status in ('pending', 'running', 'waiting')
			and r.event_seq < e.last and e.events = e.last`)
}

// Recount counts a run's progress again. How far a run without a bundle was is
// left when what it packed has been destroyed.
func (r *Repair) Recount(ctx context.Context, ref export.Ref) (bool, error) {
	return r.change(ctx, ref, "count progress again", `
		update export_runs r set shards = i.shards, records = i.records, bytes = i.bytes,
			shards_done = case when kept then r.shards_done else i.shards_done end,
			records_done = case when kept then r.records_done else i.records_done end,
			bytes_done = case when kept then r.bytes_done else i.bytes_done end
		from (`+countShards+`, (select status in ('failed', 'aborted', 'expired') or rebuild_of is not null from export_runs where tenant = $1 and id = $2)
				and count(i.result_digest) = 0 as kept
			from export_inputs i where i.tenant = $1 and i.run_id = $2) i
		where r.tenant = $1 and r.id = $2`)
}

// change locks a run and changes its row; false when it did not.
func (r *Repair) change(ctx context.Context, ref export.Ref, what, statement string) (done bool, err error) {
	err = r.db.WithTenant(ctx, ref.Tenant, func(tx pgx.Tx) error {
		if _, err := lockRun(ctx, tx, ref); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, statement, ref.Tenant, ref.RunID)
		done = tag.RowsAffected() == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("%s of run %s: %w", what, ref.RunID, err)
	}
	return done, nil
}

// RaiseQueue gives a queue the greatest number of its tenant's runs, under the
// lock under which numbers are given out.
func (r *Repair) RaiseQueue(ctx context.Context, tenant string) (done bool, err error) {
	err = r.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockQueue, tenant); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			update export_queues q set seq = r.greatest
			from (select max(queue_seq) as greatest from export_runs where tenant = $1) r
			where q.tenant = $1 and q.seq < r.greatest`, tenant)
		done = tag.RowsAffected() == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("raise the queue's number of %s: %w", tenant, err)
	}
	return done, nil
}

// ForgetPacked forgets what was packed of a shard, if its blob still has no row
// or one of another size.
func (r *Repair) ForgetPacked(ctx context.Context, tenant string, packed storage.PackedRecord) (done bool, err error) {
	err = r.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			delete from export_packed p where p.tenant = $1 and p.hash = $2 and p.recipe = $3
				and not exists (select from blobs b where b.tenant = $1 and b.sha256 = p.digest and b.size = p.size)`,
			tenant, packed.Hash[:], packed.Recipe[:])
		done = tag.RowsAffected() == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("forget what was packed of shard %s: %w", packed.Hash, err)
	}
	return done, nil
}
