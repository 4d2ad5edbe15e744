package trivydb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/boltpages"
	"github.com/stella-ops/exportcenter/internal/extsort"
)

// Memory of the two sorts, in bytes. They overlap while records go from the one
// to the other.
const (
	languageMemory = 16 << 20
	bucketMemory   = 24 << 20
)

// schema is Trivy's, of what is written (trivy-db pkg/db, SchemaVersion).
const schema = 2

// nextUpdate is when Trivy looks for a newer database.
const nextUpdate = 24 * time.Hour

// metadata is metadata.json (trivy-db pkg/metadata). DownloadedAt is Trivy's to
// fill in: it stays the zero time.
type metadata struct {
	Version      int
	NextUpdate   time.Time
	UpdatedAt    time.Time
	DownloadedAt time.Time
}

// Build builds the database of all shards.
func (Adapter) Build(ctx context.Context, in adapters.Input, out adapters.Output) (built adapters.Built, err error) {
	if err := check(in.Options); err != nil {
		return built, err
	}
	b := &building{
		in: in, tally: newTally(), platforms: platforms{},
		languages: extsort.New(in.Scratch, languageMemory),
		buckets:   extsort.New(in.Scratch, bucketMemory),
	}
	defer func() { err = errors.Join(err, b.languages.Close(), b.buckets.Close()) }()
	if err := b.readShards(ctx); err != nil {
		return built, err
	}
	if err := b.joinLanguages(ctx); err != nil {
		return built, err
	}
	if err := b.numberPlatforms(); err != nil {
		return built, err
	}
	if err := b.write(ctx, out); err != nil {
		return built, err
	}
	summary, err := bundle.MarshalCanonical(b.tally.summary())
	if err != nil {
		return built, err
	}
	if err := out.Document(ctx, bundle.TrivySummaryPath, summary, 1); err != nil {
		return built, err
	}
	return adapters.Built{Sources: b.tally.counts()}, nil
}

// building is one Build.
type building struct {
	in    adapters.Input
	tally *tally
	// languages brings records of the same package and id together, whatever
	// their source.
	languages *extsort.Sorter
	// buckets brings everything into the order of the database.
	buckets *extsort.Sorter
	// platforms are those of Red Hat's records.
	platforms platforms
}

func (b *building) readShards(ctx context.Context) error {
	for i, shard := range b.in.Shards {
		if err := b.readShard(ctx, shard); err != nil {
			return fmt.Errorf("read %s: %w", shard.Path, err)
		}
		if b.in.Progress != nil {
			b.in.Progress(i + 1)
		}
	}
	return nil
}

func (b *building) readShard(ctx context.Context, shard adapters.Shard) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	content, err := shard.Open(ctx)
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(content, 256<<10)
	for err == nil {
		var line []byte
		if line, err = nextLine(lines); err == nil {
			err = b.take(line)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return errors.Join(err, content.Close())
}

// nextLine gives a line without its line feed, valid until the next.
func nextLine(from *bufio.Reader) ([]byte, error) {
	line, err := from.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		long := bytes.Clone(line)
		for err == bufio.ErrBufferFull {
			line, err = from.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	if err == io.EOF && len(line) > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return bytes.TrimSuffix(line, []byte("\n")), err
}

// take sends a line where it belongs.
func (b *building) take(line []byte) error {
	doc, there, err := adapters.DocumentOf(line)
	if there || err != nil {
		if err == nil {
			err = b.tally.document(doc)
		}
		return err
	}
	if len(line) == 0 {
		return errors.New("an empty line")
	}
	switch rest := line[1:]; line[0] {
	case languageLine:
		return b.languages.Add(rest)
	case systemLine:
		return b.buckets.Add(rest)
	case redHatLine:
		return b.takeRedHat(rest)
	case sourceLine:
		return b.addTo(sourceRoot, rest)
	case detailLine:
		return b.addTo(detailRoot, rest)
	case noteLine:
		var n note
		if err := json.Unmarshal(rest, &n); err != nil {
			return fmt.Errorf("note of a document: %w", err)
		}
		b.tally.note(n)
		return nil
	}
	return fmt.Errorf("a line begins with %q, which version %s of this adapter does not write", line[0], Version)
}

func (b *building) takeRedHat(line []byte) error {
	fields, _, ok := cut(line, 3) // package, id, platform
	if !ok {
		return fmt.Errorf("a record of Red Hat has too few fields: %.200q", line)
	}
	if err := b.platforms.add(fields[2]); err != nil {
		return err
	}
	return b.addTo(redHatRoot, line)
}

func (b *building) numberPlatforms() error {
	b.platforms.number()
	for _, line := range b.platforms.lines() {
		if err := b.buckets.Add([]byte(line)); err != nil {
			return err
		}
	}
	return nil
}

func (b *building) addTo(root string, line []byte) error {
	return b.buckets.Add(bytes.Join([][]byte{[]byte(root), line}, []byte(separator)))
}

// write writes the database and its metadata.
func (b *building) write(ctx context.Context, out adapters.Output) (err error) {
	file, err := os.Create(filepath.Join(b.in.Scratch, "trivy.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := b.writeDatabase(ctx, boltpages.New(file)); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	stamp := b.in.Stamp.UTC()
	about, err := json.Marshal(metadata{Version: schema, NextUpdate: stamp.Add(nextUpdate), UpdatedAt: stamp})
	if err != nil {
		return err
	}
	return out.Layer(ctx, bundle.TrivyDBPath, adapters.Layer{
		Metadata: about, Name: "trivy.db", Database: file, Records: b.tally.Records,
	})
}
