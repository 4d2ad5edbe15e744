package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/ledger"
)

// subjectsTogether bounds the SBOMs that are held together while they are read.
const subjectsTogether = 16 << 20

// sbomsAbout gives the SBOMs of the listing, so far, whose subject one of the
// patterns is like; sorted. There is no index of subjects: each SBOM is opened.
// It comes before every other parameter, so that its query has all of them.
func (q *listing) sbomsAbout(ctx context.Context, tx pgx.Tx, patterns []string) ([]int64, error) {
	where := slices.Concat(q.where, []string{q.overtaken, "(o.kind = 'sbom') is true"})
	rows, err := tx.Query(ctx, "select o.seq, o.block, o.slot, o.canonical_bytes "+q.from+"\nwhere "+strings.Join(where, " and ")+
		" order by o.block, o.slot", q.args...)
	if err != nil {
		return nil, err
	}
	type candidate struct {
		seq, bytes int64
		at         ledger.Place
	}
	candidates, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c candidate, err error) {
		return c, row.Scan(&c.seq, &c.at.Block, &c.at.Slot, &c.bytes)
	})
	if err != nil {
		return nil, err
	}
	found := []int64{}
	for len(candidates) > 0 {
		var places []ledger.Place
		size := int64(0)
		for len(places) < len(candidates) && (len(places) == 0 || size+candidates[len(places)].bytes <= subjectsTogether) {
			size += candidates[len(places)].bytes
			places = append(places, candidates[len(places)].at)
		}
		nth := 0
		err := linesOf(ctx, tx, q.tenant, places, func(line ledger.Line) error {
			if ledger.IsAbout(patterns, ledger.SBOMSubjects(ledger.KindSBOM, line.Format, line.Canonical)) {
				found = append(found, candidates[nth].seq)
			}
			nth++
			return nil
		})
		if err != nil {
			return nil, err
		}
		candidates = candidates[len(places):]
	}
	slices.Sort(found)
	return found, nil
}

// linesOf is Ledger.Lines within a transaction.
func linesOf(ctx context.Context, tx pgx.Tx, tenant string, places []ledger.Place, yield func(ledger.Line) error) error {
	s := takeShelf()
	defer s.release()
	if err := s.fill(ctx, tx, tenant, places); err != nil {
		return err
	}
	return s.each(places, yield)
}
