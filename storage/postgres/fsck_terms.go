package postgres

import (
	"context"
	"fmt"
	"hash/maphash"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// termsWindow is how many documents' terms are compared at a time: 3 MiB of sums.
const termsWindow = maxBatch

var axes = [...]string{axisAlias, axisEcosystem, axisProduct}

// termSum is how a document's terms of one axis stand in the pages against its
// block. Terms are added by a hash of theirs, so their order does not matter and
// memory does not grow with them; those of the block are taken away again.
type termSum struct {
	difference  uint64
	pages, have int32
}

// Terms calls yield with what documents can be selected by and have not, have
// and cannot be selected by, and with pages that cannot be read. A window of
// documents is read at a time: the pages, and the blocks that the documents name.
//
// What is compared is fixed before it is read, by the head: a document below it,
// and its terms, never change.
func (s *Survey) Terms(ctx context.Context, tenant string, yield func(storage.TermRecord) error) error {
	record, err := s.LedgerRecord(ctx, tenant)
	if err != nil {
		return err
	}
	if err := s.damagedPages(ctx, tenant, yield); err != nil {
		return err
	}
	w := termWindow{seed: maphash.MakeSeed(), sums: make([][len(axes)]termSum, min(termsWindow, record.Greatest)),
		read: make([]bool, min(termsWindow, record.Greatest))}
	for w.after = 0; w.after < record.Greatest; w.after += termsWindow {
		w.sums = w.sums[:min(termsWindow, record.Greatest-w.after)]
		clear(w.sums)
		clear(w.read)
		if err := w.addPages(ctx, s, tenant); err != nil {
			return err
		}
		if err := w.takeBlocks(ctx, s, tenant); err != nil {
			return err
		}
		for axis := range axes {
			if r := w.judge(axis); r.Documents > 0 {
				if err := yield(r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// termRow is a row of ledger_terms.
type termRow struct {
	axis        string
	base        int64
	nth         int16
	first, last string
	data        []byte
}

func scanTermRow(row pgx.CollectableRow) (p termRow, err error) {
	return p, row.Scan(&p.axis, &p.base, &p.nth, &p.first, &p.last, &p.data)
}

// damagedPages tells of pages that cannot be read, or are looked for under
// other terms than they have.
func (s *Survey) damagedPages(ctx context.Context, tenant string, yield func(storage.TermRecord) error) error {
	return each(ctx, s, tenant, "pages of terms", `
		select axis, base, nth, first, last, data from ledger_terms where tenant = $1 order by axis, base, nth`,
		scanTermRow, func(p termRow) error {
			if err := p.check(); err != nil {
				return yield(storage.TermRecord{Axis: p.axis, Page: fmt.Sprintf("%s/%d/%d", p.axis, p.base, p.nth), Err: err})
			}
			return nil
		})
}

func (p termRow) check() error {
	var first, last string
	begun := false
	err := eachTerm(p.data, func(term []byte, _ []int64) {
		if last = string(term); !begun {
			first, begun = last, true
		}
	})
	if err == nil && (first != p.first || last != p.last) {
		err = fmt.Errorf("its row says it goes from %.80q to %.80q, it goes from %.80q to %.80q: %w",
			p.first, p.last, first, last, storage.ErrCorrupt)
	}
	return err
}

// termWindow is a part of the documents: those behind after, one sum each.
type termWindow struct {
	seed  maphash.Seed
	after int64
	sums  [][len(axes)]termSum
	read  []bool // the document could be read: others are not judged, they are told of by themselves
}

func (w *termWindow) sum(axis int, seq int64) *termSum {
	if n := seq - w.after - 1; n >= 0 && n < int64(len(w.sums)) {
		return &w.sums[n][axis]
	}
	return nil
}

// addPages adds what the pages say. A page that cannot be read says nothing.
func (w *termWindow) addPages(ctx context.Context, s *Survey, tenant string) error {
	return each(ctx, s, tenant, "pages of terms", `
		select axis, base, nth, first, last, data from ledger_terms where tenant = $1 and base > $2 and base < $3`,
		scanTermRow, func(p termRow) error {
			axis := 0
			for axes[axis] != p.axis { // the table has no others
				axis++
			}
			eachTerm(p.data, func(term []byte, documents []int64) { //nolint:errcheck // damagedPages told of it
				sum := maphash.Bytes(w.seed, term)
				for _, n := range documents {
					if at := w.sum(axis, p.base+n); at != nil {
						at.difference += sum
						at.pages++
					}
				}
			})
			return nil
		}, w.after-maxBatch-1, w.after+int64(len(w.sums)))
}

// takeBlocks takes away what the documents have.
func (w *termWindow) takeBlocks(ctx context.Context, s *Survey, tenant string) error {
	type blockRow struct {
		slots []int32
		seqs  []int64
		data  []byte
	}
	return each(ctx, s, tenant, "documents", `
		select o.slots, o.seqs, b.data
		from (select block, array_agg(slot order by slot) as slots, array_agg(seq order by slot) as seqs
			from ledger_observations where tenant = $1 and seq > $2 and seq <= $3 group by block) o
		join ledger_blocks b on b.tenant = $1 and b.block = o.block`,
		func(row pgx.CollectableRow) (b blockRow, err error) { return b, row.Scan(&b.slots, &b.seqs, &b.data) },
		func(b blockRow) error {
			records := slotsOf(b.data)
			var line ledger.Line
			for i, slot := range b.slots {
				if record := records[slot]; record != nil && readRecord(record, &line) == nil {
					w.take(b.seqs[i], &line)
				}
			}
			return nil
		}, w.after, w.after+int64(len(w.sums)))
}

func (w *termWindow) take(seq int64, line *ledger.Line) {
	w.read[seq-w.after-1] = true
	for axis, terms := range [...][]string{line.Aliases, line.Ecosystems, line.Products} { // as axes
		at := w.sum(axis, seq)
		for _, term := range terms {
			at.difference -= maphash.String(w.seed, term)
			at.have++
		}
	}
}

// judge sums up what is wrong with an axis.
func (w *termWindow) judge(axis int) storage.TermRecord {
	r := storage.TermRecord{Axis: axes[axis]}
	for n := range w.sums {
		at := w.sums[n][axis]
		if !w.read[n] || at.difference == 0 && at.pages == at.have {
			continue
		}
		r.Last = w.after + int64(n) + 1
		if r.Documents++; r.Documents == 1 {
			r.First = r.Last
		}
		r.Lacking += int64(max(at.have-at.pages, 0))
		r.Added += int64(max(at.pages-at.have, 0))
	}
	return r
}

// Overtaken calls yield with every revision and removal of which the ledger says
// wrongly when it was overtaken: by a greater one before it, or by the first
// greater one behind it. A removal is greater than all revisions of its time. It
// is one statement, which reads two indexes in order.
func (s *Survey) Overtaken(ctx context.Context, tenant string, yield func(storage.OvertakenRecord) error) error {
	return each(ctx, s, tenant, "overtaken revisions", `
		select r.seq, coalesce(s.by_seq, 0), case when r.first_greater is null then 0 else greatest(r.seq, r.first_greater) end from (
			select seq, min(seq) over (partition by identity order by modified desc, sha256 desc
				rows between unbounded preceding and 1 preceding) as first_greater
			from (
				select identity, modified, sha256, seq from ledger_observations where tenant = $1
				union all
				select identity, modified, decode(repeat('ff', 33), 'hex'), seq from ledger_removals where tenant = $1
			) e
		) r left join ledger_superseded s on s.tenant = $1 and s.seq = r.seq
		where s.by_seq is distinct from case when r.first_greater is not null then greatest(r.seq, r.first_greater) end
		order by 1`,
		func(row pgx.CollectableRow) (o storage.OvertakenRecord, err error) {
			return o, row.Scan(&o.Seq, &o.Recorded, &o.Right)
		}, yield)
}
