package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// Remove implements ledger.Store.
//
// Under the lock of the tenant's head, as an import records, it asks what stands
// of each document: the greatest of its revisions and removals. A removal that is
// greater is recorded and overtakes it. One that is not greater never matters,
// since nothing is ever taken away from what it is less than: it leaves no row.
func (l *Ledger) Remove(ctx context.Context, tenant string, batch []ledger.Removal) (ledger.RemovalCounts, error) {
	if len(batch) > ledger.MaxRemovals {
		return ledger.RemovalCounts{}, fmt.Errorf("a batch has %d removals, at most %d are taken", len(batch), ledger.MaxRemovals)
	}
	for i, r := range batch {
		if err := r.Validate(); err != nil {
			return ledger.RemovalCounts{}, &export.Error{
				Code: export.CodeValidation, Class: export.ClassPermanent,
				Message: fmt.Sprintf("removal %d, of %.80q, cannot be recorded: %v", i+1, r.UpstreamID, err), Field: r.UpstreamID,
			}
		}
	}
	var b removalBatch
	err := l.db.WithTenant(ctx, tenant, func(tx pgx.Tx) (err error) {
		b, err = decideRemovals(ctx, tx, tenant, batch, l.clock())
		if err != nil || len(b.seqs) == 0 {
			return err
		}
		return b.insert(ctx, tx, tenant)
	})
	if err != nil {
		return ledger.RemovalCounts{}, fmt.Errorf("remove %d documents: %w", len(batch), err)
	}
	return b.counts, nil
}

// removalBatch is what is recorded of a batch: removals and their sequences, and
// what each overtakes.
type removalBatch struct {
	counts     ledger.RemovalCounts
	at         time.Time // the moment of recording
	removals   []ledger.Removal
	identities [][]byte
	seqs       []int64
	overtakes  []int64
}

// standing is the greatest of a document's revisions and removals.
type standing struct {
	seq      int64 // 0 when the ledger never had the document
	modified string
	removed  bool
}

// decideRemovals locks the head and takes the removals one by one.
func decideRemovals(ctx context.Context, tx pgx.Tx, tenant string, batch []ledger.Removal, at time.Time) (removalBatch, error) {
	b := removalBatch{counts: ledger.RemovalCounts{Read: int64(len(batch))}, at: at}
	var head int64
	var stands map[[identitySize]byte]standing
	err := tx.QueryRow(ctx, lockHead, tenant).Scan(&head)
	if err == nil {
		stands, err = standingOf(ctx, tx, tenant, batch)
	} else if errors.Is(err, pgx.ErrNoRows) {
		err = nil // there was no head to lock: nothing was recorded, and nothing is asked that may be by now
	}
	if err != nil {
		return b, err
	}
	for i, r := range batch {
		identity := identityOf(r.Identity)
		s, unstated := stands[identity], r.Time.IsZero()
		if unstated {
			r = r.Now(at, s.modified)
		}
		modified := r.Modified()
		switch {
		case s.seq == 0:
			b.counts.Absent++
			b.counts.Missing = append(b.counts.Missing, i)
		case s.removed && (unstated || s.modified >= modified):
			b.counts.Unchanged++
		case !ledger.Covers(modified, s.modified):
			b.counts.Superseded++
			b.counts.Standing = append(b.counts.Standing, ledger.Standing{Position: i, Modified: s.modified})
		default:
			b.counts.Removed++
			head++
			b.removals, b.identities = append(b.removals, r), append(b.identities, identity[:])
			b.seqs, b.overtakes = append(b.seqs, head), append(b.overtakes, s.seq)
			stands[identity] = standing{seq: head, modified: modified, removed: true}
		}
	}
	return b, nil
}

// standingQuery looks each document up in two indexes that have the greatest first.
const standingQuery = `
select coalesce(best.seq, 0), coalesce(best.modified, ''), coalesce(gone.seq, 0), coalesce(gone.modified, '')
from unnest($2::bytea[]) with ordinality as w (identity, n)
left join lateral (select o.seq, o.modified from ledger_observations o where o.tenant = $1 and o.identity = w.identity
  order by o.modified desc, o.sha256 desc limit 1) best on true
left join lateral (select r.seq, r.modified from ledger_removals r where r.tenant = $1 and r.identity = w.identity
  order by r.modified desc limit 1) gone on true
order by w.n`

func standingOf(ctx context.Context, tx pgx.Tx, tenant string, batch []ledger.Removal) (map[[identitySize]byte]standing, error) {
	identities := make([][]byte, len(batch))
	for i, r := range batch {
		identity := identityOf(r.Identity)
		identities[i] = identity[:]
	}
	rows, err := tx.Query(ctx, standingQuery, tenant, identities)
	if err != nil {
		return nil, err
	}
	stands := make(map[[identitySize]byte]standing, len(batch))
	var best, gone standing
	n := 0
	_, err = pgx.ForEachRow(rows, []any{&best.seq, &best.modified, &gone.seq, &gone.modified}, func() error {
		s := best
		if gone.seq > 0 && ledger.Covers(gone.modified, best.modified) {
			s = gone
			s.removed = true
		}
		stands[[identitySize]byte(identities[n])] = s
		n++
		return nil
	})
	return stands, err
}

const insertRemovals = `
with batch as (
  select * from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[],
    $9::text[], $10::text[], $11::text[], $12::bigint[])
    as b (seq, project, kind, source, stream, upstream_id, identity, modified, reason, said_by, overtakes)
), recorded as (
  insert into ledger_removals (tenant, seq, project, kind, source, stream, upstream_id, identity, modified, reason, said_by)
  select $1, seq, project, kind, source, stream, upstream_id, identity, modified, reason, said_by from batch
), overtaken as (
  insert into ledger_superseded (tenant, seq, by_seq) select $1, overtakes, seq from batch
), raised as (
  update ledger_heads set seq = (select max(seq) from batch) where tenant = $1
)
insert into ledger_moments (tenant, seq, at)
select $1, max(seq), greatest($13::timestamptz, (select at from ledger_moments where tenant = $1 order by seq desc limit 1))
from batch`

func (b *removalBatch) insert(ctx context.Context, tx pgx.Tx, tenant string) error {
	text := func(of func(ledger.Removal) string) []string {
		values := make([]string, len(b.removals))
		for i, r := range b.removals {
			values[i] = of(r)
		}
		return values
	}
	_, err := tx.Exec(ctx, insertRemovals, tenant, b.seqs,
		text(func(r ledger.Removal) string { return ledger.ProjectName(r.Project) }),
		text(func(r ledger.Removal) string { return string(r.Kind) }),
		text(func(r ledger.Removal) string { return r.Source }),
		text(func(r ledger.Removal) string { return r.Stream }),
		text(func(r ledger.Removal) string { return r.UpstreamID }),
		b.identities, text(ledger.Removal.Modified),
		text(func(r ledger.Removal) string { return r.Reason }),
		text(func(r ledger.Removal) string { return r.By }),
		b.overtakes, b.at)
	return err
}
