package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// linesQuery looks every document up by its keys. The lateral subqueries are
// fenced (offset 0), so the planner cannot turn the lookups into one join with
// all of the tenant's rows: without statistics, as after a first import, it
// did, and each chunk then read the whole ledger. The numbers are put in order
// before the lookups and the server keeps that order: no document is sorted.
const linesQuery = `
select o.seq, o.kind, o.subject, o.upstream_id, o.source, o.stream, o.sha256, o.canonical_bytes,
  o.format, o.modified, o.raw_bytes, o.ecosystems, o.products, o.aliases, c.bytes
from (select seq, n from unnest($2::bigint[]) with ordinality as w (seq, n) order by n) w
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.seq = w.seq offset 0) o
cross join lateral (select coalesce(c.canonical, c.raw) as bytes from ledger_contents c
  where c.tenant = $1 and c.sha256 = o.sha256 offset 0) c
order by w.n`

// linesChunk bounds one query of Lines. Its answer comes row by row.
const linesChunk = 4096

// Lines implements ledger.Store. A sequence that is not there is
// storage.ErrNotFound: a reader is never given fewer documents than it asked for.
func (l *Ledger) Lines(ctx context.Context, tenant string, seqs []int64, yield func(ledger.Line) error) error {
	err := l.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		for chunk := range slices.Chunk(seqs, linesChunk) {
			if err := readLines(ctx, tx, tenant, chunk, yield); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read %d documents: %w", len(seqs), err)
	}
	return nil
}

func readLines(ctx context.Context, tx pgx.Tx, tenant string, seqs []int64, yield func(ledger.Line) error) error {
	rows, err := tx.Query(ctx, linesQuery, pgx.QueryResultFormats{pgx.BinaryFormatCode}, tenant, seqs)
	if err != nil {
		return err
	}
	defer rows.Close()
	var line ledger.Line
	read := 0
	for rows.Next() {
		if err := decodeLine(rows.RawValues(), &line); err != nil {
			return err
		}
		if read == len(seqs) || line.Seq != seqs[read] {
			return fmt.Errorf("document %d: %w", seqs[min(read, len(seqs)-1)], storage.ErrNotFound)
		}
		read++
		if int64(len(line.Canonical)) != line.CanonicalBytes {
			return fmt.Errorf("document %d: canonical form has %d bytes, %d were recorded: %w",
				line.Seq, len(line.Canonical), line.CanonicalBytes, storage.ErrCorrupt)
		}
		if err := yield(line); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if read < len(seqs) {
		return fmt.Errorf("document %d: %w", seqs[read], storage.ErrNotFound)
	}
	return nil
}

// decodeLine reads a row of linesQuery as the wire has it, into the row before
// it: most rows share format, kind, source and stream with the last one, and
// their lists are given to the callee for the moment only. The columns are of
// this file's query, so their form is known; what has another is an error.
func decodeLine(raw [][]byte, line *ledger.Line) error {
	if len(raw) != 15 || len(raw[0]) != 8 || len(raw[6]) != len(line.Digest) || len(raw[7]) != 8 || len(raw[10]) != 8 {
		return errors.New("a row of documents has another form than was asked for")
	}
	number := func(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }
	text := func(s *string, b []byte) {
		if *s != string(b) {
			*s = string(b)
		}
	}
	line.Seq, line.CanonicalBytes, line.RawBytes = number(raw[0]), number(raw[7]), number(raw[10])
	line.Digest = bundle.Digest(raw[6])
	text((*string)(&line.Kind), raw[1])
	text(&line.Subject, raw[2])
	text(&line.UpstreamID, raw[3])
	text(&line.Source, raw[4])
	text(&line.Stream, raw[5])
	text(&line.Format, raw[8])
	text(&line.Modified, raw[9])
	line.Canonical = raw[14]
	var errs [3]error
	line.Ecosystems, errs[0] = decodeTexts(line.Ecosystems[:0], raw[11])
	line.Products, errs[1] = decodeTexts(line.Products[:0], raw[12])
	line.Aliases, errs[2] = decodeTexts(line.Aliases[:0], raw[13])
	return errors.Join(errs[:]...)
}

// decodeTexts appends the elements of a text[] in PostgreSQL's binary form:
// dimensions, a flag for nulls, the type; size and lower bound per dimension;
// then a length and the bytes per element. All share one string.
func decodeTexts(dst []string, raw []byte) ([]string, error) {
	const head, dimension = 12, 8
	bad := errors.New("a list of texts has another form than was asked for")
	if len(raw) < head {
		return dst, bad
	}
	switch binary.BigEndian.Uint32(raw) {
	case 0:
		return dst, nil
	case 1:
	default:
		return dst, bad
	}
	if len(raw) < head+dimension {
		return dst, bad
	}
	rest := string(raw[head+dimension:])
	for range binary.BigEndian.Uint32(raw[head:]) {
		if len(rest) < 4 {
			return dst, bad
		}
		n := int64(rest[0])<<24 | int64(rest[1])<<16 | int64(rest[2])<<8 | int64(rest[3])
		if n > int64(len(rest)-4) { // a null has the length -1
			return dst, bad
		}
		dst, rest = append(dst, rest[4:4+n]), rest[4+n:]
	}
	return dst, nil
}
