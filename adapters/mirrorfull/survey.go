package mirrorfull

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/extsort"
)

// sortMemory is what each of the sorts keeps in memory.
const sortMemory = 16 << 20

// maxLine bounds a line of evidence: a document of the greatest size whose canonical
// form is longer than its original.
const maxLine = 512 << 20

// survey reads all lines once: what the sources gave, where each file begins, and which
// original every document has.
type survey struct {
	wanted  *extsort.Sorter // records of wanted originals
	kinds   []string        // of the shards, sorted
	indexes []*Index
	counts  map[sourceKey]*adapters.SourceCount
}

type sourceKey struct{ kind, source, stream string }

func newSurvey(scratch string, shards []adapters.Shard) *survey {
	s := &survey{wanted: extsort.New(scratch, sortMemory), counts: map[sourceKey]*adapters.SourceCount{}}
	for _, shard := range shards {
		s.kinds = append(s.kinds, string(shard.Kind))
	}
	slices.Sort(s.kinds)
	s.kinds = slices.Compact(s.kinds)
	return s
}

func (s *survey) close() error { return s.wanted.Close() }

// document is an original, and a document whose it is.
type document struct {
	bundle.Original
	shard, line int32
}

// A record of a wanted original: the number of its kind, its digest, its shard and line,
// its bytes. Records sort as paths do, then by shard and line, and a fraction of a path's
// length says all of it.
const recordSize = 1 + len(bundle.Digest{}) + 4 + 4 + 8

// want adds the original of a line.
func (s *survey) want(kind int, digest bundle.Digest, bytes int64, shard, line int32) error {
	record := append(make([]byte, 0, recordSize), byte(kind))
	record = append(record, digest[:]...)
	record = binary.BigEndian.AppendUint32(record, uint32(shard))
	record = binary.BigEndian.AppendUint32(record, uint32(line))
	return s.wanted.Add(binary.BigEndian.AppendUint64(record, uint64(bytes)))
}

func (s *survey) document(record []byte) document {
	digest, rest := bundle.Digest(record[1:]), record[1+len(bundle.Digest{}):]
	return document{
		Original: bundle.Original{Path: bundle.OriginalPath(s.kinds[record[0]], digest), Bytes: int64(binary.BigEndian.Uint64(rest[8:]))},
		shard:    int32(binary.BigEndian.Uint32(rest)),
		line:     int32(binary.BigEndian.Uint32(rest[4:])),
	}
}

// read reads all shards.
func (s *survey) read(ctx context.Context, shards []adapters.Shard, progress func(int)) error {
	for i, shard := range shards {
		if err := s.readShard(ctx, int32(i), shard); err != nil {
			return fmt.Errorf("%s: %w", shard.Path, err)
		}
		progress(i + 1)
	}
	return nil
}

func (s *survey) readShard(ctx context.Context, number int32, shard adapters.Shard) error {
	content, err := shard.Open(ctx)
	if err != nil {
		return err
	}
	defer content.Close()
	lines := bufio.NewScanner(content)
	lines.Split(bundle.SplitLines)
	lines.Buffer(make([]byte, 0, 256<<10), maxLine)
	kind, _ := slices.BinarySearch(s.kinds, string(shard.Kind))
	line := int32(0)
	for lines.Scan() {
		e, err := adapters.ReadEnvelope(lines.Bytes())
		if err == nil && e.Redacted {
			err = errors.New("line of evidence: is redacted, and a mirror is whole")
		}
		if err != nil {
			return err
		}
		if line == 0 {
			s.begin(shard, e)
		}
		s.count(string(shard.Kind), e)
		if err := s.want(kind, e.Digest, e.Bytes, number, line); err != nil {
			return err
		}
		line++
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if int64(line) != shard.Records {
		return fmt.Errorf("%w: it has %d lines, %d were packed", bundle.ErrRotten, line, shard.Records)
	}
	return nil
}

// begin notes where a file begins.
func (s *survey) begin(shard adapters.Shard, first adapters.Envelope) {
	payloadType := shard.Kind.PayloadType()
	if n := len(s.indexes); n == 0 || s.indexes[n-1].Type != payloadType {
		s.indexes = append(s.indexes, &Index{Schema: IndexSchema, Type: payloadType})
	}
	index := s.indexes[len(s.indexes)-1]
	index.Records += shard.Records
	index.Shards = append(index.Shards, IndexShard{Path: shard.Path, Records: shard.Records, ContentDigest: shard.ContentDigest,
		First: IndexKey{Subject: first.Subject, UpstreamID: first.UpstreamID, Source: first.Source, Stream: first.Stream}})
}

func (s *survey) count(kind string, e adapters.Envelope) {
	key := sourceKey{kind, e.Source, e.Stream}
	of := s.counts[key]
	if of == nil {
		of = &adapters.SourceCount{Kind: kind, Source: e.Source, Stream: e.Stream}
		s.counts[key] = of
	}
	of.Documents++
	of.Records++
	of.Newest = max(of.Newest, e.Modified)
}

// sources are the counts in their order.
func (s *survey) sources() []adapters.SourceCount {
	all := make([]adapters.SourceCount, 0, len(s.counts))
	for _, of := range s.counts {
		all = append(all, *of)
	}
	slices.SortFunc(all, func(a, b adapters.SourceCount) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Source, b.Source), strings.Compare(a.Stream, b.Stream))
	})
	return all
}

// each calls yield with every wanted original once, in archive order.
func (s *survey) each(ctx context.Context, yield func(document) error) error {
	last := document{}
	for record, err := range s.wanted.Sorted(ctx) {
		if err != nil {
			return err
		}
		d := s.document(record)
		if d.Path == last.Path { // the same bytes under another name
			if d.Bytes != last.Bytes {
				return fmt.Errorf("%s: has %d bytes by one line and %d by another", d.Path, last.Bytes, d.Bytes)
			}
			continue
		}
		last = d
		if err := yield(d); err != nil {
			return err
		}
	}
	return nil
}
