package again

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/extsort"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// sortMemory is what the sorter of lines keeps in memory.
const sortMemory = 32 << 20

// imports reads the originals of a mirror into the ledger, each as often as lines of
// evidence tell of it: the same bytes may be the document of several streams. Lines and
// originals are in different orders, so what is needed of the lines is sorted first.
func (h *house) imports(ctx context.Context, mirror *archive) (documents, originals int64, err error) {
	sorted := extsort.New(h.dir, sortMemory)
	defer func() { err = errors.Join(err, sorted.Close()) }()
	if err := mirror.eachLine(ctx, func(l adapters.RawLine) error {
		told, err := json.Marshal(toldOf(l))
		if err != nil {
			return err
		}
		return sorted.Add(append(append([]byte(l.OriginalPath()), 0), told...))
	}); err != nil {
		return 0, 0, err
	}
	next, stop := iter.Pull2(sorted.Sorted(ctx))
	defer stop()
	of := &importing{house: h, mirror: mirror, next: next, book: postgres.NewLedger(h.db)}
	if err := of.pull(); err != nil {
		return 0, 0, err
	}
	if mirror.first != "" {
		if err := bundle.EachEntry(mirror.open(mirror.originals), func(path string, size int64, content io.Reader) error {
			originals++
			return of.original(ctx, path, size, content)
		}); err != nil {
			return 0, 0, fmt.Errorf("import from %s: %w", mirror.name, err)
		}
	}
	if of.more {
		return 0, 0, of.lacks()
	}
	return of.documents, originals, of.flush(ctx)
}

// told is what a line says of its document beyond the bytes. Source and stream are who the
// import said it is from; the rest must come out again.
type told struct {
	Source, Stream, Kind, Format, UpstreamID, Modified string
}

func toldOf(l adapters.RawLine) told {
	return told{l.Source, l.Stream, l.Kind, l.Format, l.UpstreamID, l.Modified}
}

// importing is an import under way.
type importing struct {
	*house
	mirror *archive
	book   *postgres.Ledger
	next   func() ([]byte, error, bool) //nolint:revive // as iter.Pull2 gives it

	path string // of the original that the next line is about
	line told
	more bool

	batch     []ledger.Observation
	bytes     int
	documents int64
}

// pull takes the next line.
func (i *importing) pull() error {
	raw, err, more := i.next()
	if i.more = more; err != nil || !more {
		return err
	}
	path, text, _ := bytes.Cut(raw, []byte{0})
	i.path, i.line = string(path), told{}
	return json.Unmarshal(text, &i.line)
}

// lacks is the original that the next line tells of, in a mirror that does not have it.
func (i *importing) lacks() error {
	return contradicts(i.path, "a line of evidence tells of it, and it is not there")
}

// original imports an original for every line about it.
func (i *importing) original(ctx context.Context, path string, size int64, content io.Reader) error {
	if size > bundle.MaxOriginal {
		return fmt.Errorf("%s has %d bytes; an original has at most %d", path, size, bundle.MaxOriginal)
	}
	raw := make([]byte, size)
	if _, err := io.ReadFull(content, raw); err != nil {
		return err
	}
	_, want, err := bundle.ParseOriginalPath(path)
	if err != nil {
		return err
	}
	if bundle.DigestOf(raw) != want {
		return i.mirror.changed(errors.New(path))
	}
	switch {
	case i.more && bundle.PathBefore(i.path, path):
		return i.lacks()
	case !i.more || i.path != path:
		return contradicts(path, "no line of evidence tells of it")
	}
	for i.more && i.path == path {
		if err := i.document(ctx, path, raw); err != nil {
			return err
		}
		if err := i.pull(); err != nil {
			return err
		}
	}
	return nil
}

// document imports one document.
func (i *importing) document(ctx context.Context, path string, raw []byte) error {
	of, err := i.Parse(ledger.Entry{Source: i.line.Source, Stream: i.line.Stream, File: i.mirror.name, Name: path, Bytes: raw})
	if err != nil {
		return fmt.Errorf("%s: this program does not take it, other than the one that imported it: %w", path, err)
	}
	if got := (told{of.Source, of.Stream, string(of.Kind), of.Format, of.UpstreamID, of.Modified}); got != i.line {
		return fmt.Errorf("%s: its line says %+v, this program reads %+v; use the release that the manifest names: %s", path, i.line, got, i.mirror.manifest.Tool.Version)
	}
	of.Project = i.mirror.manifest.Project
	if len(i.batch) > 0 && (i.bytes+len(raw) > ledger.BatchBytes || len(i.batch) == ledger.BatchDocuments) {
		if err := i.flush(ctx); err != nil {
			return err
		}
	}
	i.batch, i.bytes = append(i.batch, of), i.bytes+len(raw)
	return nil
}

// flush records what was read.
func (i *importing) flush(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	counts, err := i.book.Import(ctx, i.mirror.manifest.Tenant, i.batch)
	if err != nil {
		return fmt.Errorf("import from %s: %w", i.mirror.name, err)
	}
	if counts.Accepted != int64(len(i.batch)) {
		return fmt.Errorf("%s tells of a document twice: %d of %d were recorded", i.mirror.name, counts.Accepted, len(i.batch))
	}
	i.documents += counts.Accepted
	clear(i.batch)
	i.batch, i.bytes = i.batch[:0], 0
	return nil
}

// eachLine calls do with every line of evidence of the archive. What do gets is valid
// until it returns.
func (a *archive) eachLine(ctx context.Context, do func(adapters.RawLine) error) error {
	files := slices.DeleteFunc(slices.Clone(a.manifest.Contents), func(c bundle.Content) bool { return !bundle.IsEvidence(c.Path) })
	for _, c := range files {
		if err := a.eachLineOf(ctx, c, do); err != nil {
			return fmt.Errorf("%s: %s: %w", a.name, c.Path, err)
		}
	}
	return nil
}

func (a *archive) eachLineOf(ctx context.Context, c bundle.Content, do func(adapters.RawLine) error) error {
	s, err := a.find(c.Path)
	if err != nil {
		return err
	}
	content, err := bundle.OpenPayload(a.open(s))
	if err != nil {
		return err
	}
	defer content.Close()
	h := sha256.New()
	lines := bufio.NewReaderSize(io.TeeReader(content, h), 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err != nil {
			return err
		}
		read, err := adapters.ReadRawLine(line[:len(line)-1])
		if err != nil {
			return err
		}
		if err := do(read); err != nil {
			return err
		}
	}
	if bundle.Digest(h.Sum(nil)) != c.ContentDigest {
		return a.changed(errors.New(c.Path))
	}
	return nil
}
