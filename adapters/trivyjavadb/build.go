package trivyjavadb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/extsort"
)

// Memory of the two sorts, in bytes. They overlap while archives go from the one
// to the other.
const (
	bySHA1Memory = 16 << 20
	byNameMemory = 16 << 20
)

// nextUpdate is when Trivy looks for a newer database.
const nextUpdate = 24 * time.Hour

// metadata is metadata.json (trivy-java-db pkg/db). DownloadedAt is Trivy's to
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
	b := &building{in: in, tally: newTally(), bySHA1: extsort.New(in.Scratch, bySHA1Memory), byName: extsort.New(in.Scratch, byNameMemory)}
	defer func() { err = errors.Join(err, b.bySHA1.Close(), b.byName.Close()) }()
	for i, shard := range in.Shards {
		if err := b.readShard(ctx, shard); err != nil {
			return built, fmt.Errorf("read %s: %w", shard.Path, err)
		}
		in.Progress(i + 1)
	}
	if err := b.decide(ctx); err != nil {
		return built, err
	}
	if err := b.write(ctx, out); err != nil {
		return built, err
	}
	summary, err := bundle.MarshalCanonical(b.tally.summary(in.Stamp))
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
	in     adapters.Input
	tally  *tally
	source string // of the document whose lines are being read: its number
	// bySHA1 brings together what all documents say of one file.
	bySHA1 *extsort.Sorter
	// byName brings what is decided into the order of the database.
	byName *extsort.Sorter
}

func (b *building) readShard(ctx context.Context, shard adapters.Shard) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	content, err := shard.Open(ctx)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(content)
	lines.Buffer(make([]byte, 64<<10), bundle.MaxDocumentBytes) // a document line may have thousands of aliases
	for lines.Scan() && err == nil {
		err = b.take(lines.Bytes())
	}
	return errors.Join(err, lines.Err(), content.Close())
}

// take sends a line where it belongs.
func (b *building) take(line []byte) error {
	_, there, err := adapters.DocumentOf(line)
	if there || err != nil {
		b.source = ""
		return err
	}
	if len(line) == 0 {
		return errors.New("an empty line")
	}
	switch rest := line[1:]; {
	case line[0] == noteLine:
		var n note
		if err := json.Unmarshal(rest, &n); err != nil {
			return fmt.Errorf("note of a document: %w", err)
		}
		b.source = strconv.Itoa(b.tally.document(n))
		return nil
	case line[0] == archiveLine && b.source != "":
		if err := checkArchive(rest); err != nil {
			return err
		}
		return b.bySHA1.Add(bytes.Join([][]byte{rest, []byte(b.source)}, []byte(separator)))
	}
	return fmt.Errorf("a line begins with %q, which version %s of this adapter does not write there", line[0], Version)
}

// write writes the database and its metadata.
func (b *building) write(ctx context.Context, out adapters.Output) (err error) {
	database, err := b.writeDatabase(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.Close()) }()
	if _, err := database.Seek(0, io.SeekStart); err != nil {
		return err
	}
	stamp := b.in.Stamp.UTC()
	about, err := json.Marshal(metadata{Version: Schema, NextUpdate: stamp.Add(nextUpdate), UpdatedAt: stamp})
	if err != nil {
		return err
	}
	return out.Layer(ctx, bundle.TrivyJavaPath, adapters.Layer{Metadata: about, Name: databaseName, Database: database, Records: b.tally.Indices})
}
