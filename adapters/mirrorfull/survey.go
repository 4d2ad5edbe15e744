package mirrorfull

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
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
	indexes []*Index
	counts  map[sourceKey]*adapters.SourceCount
}

type sourceKey struct{ kind, source, stream string }

func newSurvey(scratch string) *survey {
	return &survey{wanted: extsort.New(scratch, sortMemory), counts: map[sourceKey]*adapters.SourceCount{}}
}

func (s *survey) close() error { return s.wanted.Close() }

// document is an original, and a document whose it is.
type document struct {
	bundle.Original
	shard, line int32
}

// appendTo appends d so that records sort by path, then by shard and line.
func (d document) appendTo(dst []byte) []byte {
	dst = append(append(dst, d.Path...), ' ')
	dst = binary.BigEndian.AppendUint32(dst, uint32(d.shard))
	dst = binary.BigEndian.AppendUint32(dst, uint32(d.line))
	return binary.BigEndian.AppendUint64(dst, uint64(d.Bytes))
}

func readDocument(record []byte) document {
	at := len(record) - 16
	return document{
		Original: bundle.Original{Path: string(record[:at-1]), Bytes: int64(binary.BigEndian.Uint64(record[at+8:]))},
		shard:    int32(binary.BigEndian.Uint32(record[at:])),
		line:     int32(binary.BigEndian.Uint32(record[at+4:])),
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
	kind, record := string(shard.Kind), []byte(nil)
	line := int32(0)
	for lines.Scan() {
		e, err := readEnvelope(lines.Bytes())
		if err != nil {
			return err
		}
		if line == 0 {
			s.begin(shard, e)
		}
		s.count(kind, e)
		d := document{Original: bundle.Original{Path: bundle.OriginalPath(kind, e.digest), Bytes: e.bytes}, shard: number, line: line}
		record = d.appendTo(record[:0])
		if err := s.wanted.Add(record); err != nil {
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
func (s *survey) begin(shard adapters.Shard, first envelope) {
	payloadType := shard.Kind.PayloadType()
	if n := len(s.indexes); n == 0 || s.indexes[n-1].Type != payloadType {
		s.indexes = append(s.indexes, &Index{Schema: IndexSchema, Type: payloadType})
	}
	index := s.indexes[len(s.indexes)-1]
	index.Records += shard.Records
	index.Shards = append(index.Shards, IndexShard{Path: shard.Path, Records: shard.Records, ContentDigest: shard.ContentDigest,
		First: IndexKey{Subject: first.subject, UpstreamID: first.upstreamID, Source: first.source, Stream: first.stream}})
}

func (s *survey) count(kind string, e envelope) {
	key := sourceKey{kind, e.source, e.stream}
	of := s.counts[key]
	if of == nil {
		of = &adapters.SourceCount{Kind: kind, Source: e.source, Stream: e.stream}
		s.counts[key] = of
	}
	of.Documents++
	of.Records++
	of.Newest = max(of.Newest, e.modified)
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
		d := readDocument(record)
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
