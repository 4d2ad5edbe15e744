package adaptertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
)

// output takes what a builder makes, as the service does.
type output struct {
	work  Work
	files []File
	whole []bool
}

func (o *output) begin(ctx context.Context, path string) (int, error) {
	o.work.step("begin " + path)
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if !bundle.IsOriginal(path) && (!bundle.IsPayload(path) || o.work.ships() && bundle.IsEvidence(path)) {
		return 0, fmt.Errorf("%q is no path for a file that is built", path)
	}
	for _, f := range o.files {
		if f.Path == path {
			return 0, fmt.Errorf("%s is built twice", path)
		}
	}
	o.files, o.whole = append(o.files, File{Path: path}), append(o.whole, false)
	return len(o.files) - 1, nil
}

func (o *output) end(at int, stored []byte, info bundle.PayloadInfo) {
	info.Digest, info.Size = bundle.DigestOf(stored), int64(len(stored))
	o.files[at].Stored, o.files[at].Info, o.whole[at] = stored, info, true
}

// Document stores content as it is.
func (o *output) Document(ctx context.Context, path string, content []byte, records int64) error {
	at, err := o.begin(ctx, path)
	if err != nil {
		return err
	}
	o.end(at, bytes.Clone(content), bundle.PayloadInfo{Records: records, ContentDigest: bundle.DigestOf(content), ContentSize: int64(len(content))})
	return nil
}

// Layer stores a database.
func (o *output) Layer(ctx context.Context, path string, layer adapters.Layer) error {
	at, err := o.begin(ctx, path)
	if err != nil {
		return err
	}
	size, err := layer.Database.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = layer.Database.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	var stored bytes.Buffer
	written, err := bundle.WriteLayer(&stored, layer.Metadata, layer.Name, layer.Database, size)
	if err != nil {
		return err
	}
	o.end(at, stored.Bytes(), bundle.PayloadInfo{Records: layer.Records, ContentDigest: written.Content, ContentSize: written.Size})
	return nil
}

// Lines begins a file of lines.
func (o *output) Lines(ctx context.Context, path string) (adapters.Lines, error) {
	at, err := o.begin(ctx, path)
	if err != nil {
		return nil, err
	}
	f := &lines{o: o, at: at}
	f.PayloadWriter, err = bundle.NewPayloadWriter(&f.stored)
	return f, err
}

type lines struct {
	*bundle.PayloadWriter
	o      *output
	at     int
	stored bytes.Buffer
}

func (l *lines) Close() error {
	info, err := l.PayloadWriter.Close()
	if err == nil {
		l.o.end(l.at, l.stored.Bytes(), info)
	}
	return err
}

// Entries begins a segment of originals.
func (o *output) Entries(ctx context.Context, path string) (adapters.Entries, error) {
	at, err := o.begin(ctx, path)
	if err != nil {
		return nil, err
	}
	f := &entries{o: o, at: at}
	f.EntryWriter = bundle.NewEntryWriter(&f.stored)
	return f, nil
}

type entries struct {
	*bundle.EntryWriter
	o      *output
	at     int
	stored bytes.Buffer
	info   bundle.PayloadInfo
}

func (e *entries) Original(of bundle.Original, content io.Reader) error {
	_, want, err := bundle.ParseOriginalPath(of.Path)
	if err != nil {
		return err
	}
	h := sha256.New()
	if err := e.Entry(of.Path, of.Bytes, io.TeeReader(content, h)); err != nil {
		return err
	}
	if got := bundle.Digest(h.Sum(nil)); got != want {
		return fmt.Errorf("%s has the digest %s", of.Path, got)
	}
	e.info.Records, e.info.ContentSize = e.info.Records+1, e.info.ContentSize+of.Bytes
	return nil
}

func (e *entries) Close() error {
	e.o.end(e.at, e.stored.Bytes(), e.info)
	return nil
}

// TakeOver takes a segment of Work.Prior over.
func (o *output) TakeOver(ctx context.Context, of adapters.Segment) (bool, error) {
	at, err := o.begin(ctx, of.Path)
	if err != nil {
		return false, err
	}
	source, err := of.Open(ctx)
	if err != nil {
		return false, err
	}
	defer source.Close()
	stored := make([]byte, of.Size)
	if _, err := source.ReadAt(stored, 0); err != nil {
		return false, err
	}
	o.end(at, stored, bundle.PayloadInfo{Records: of.Count, ContentSize: of.Content})
	return true, nil
}
