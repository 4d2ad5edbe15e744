package adaptertest

import (
	"bytes"
	"context"
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
	if !bundle.IsPayload(path) || bundle.IsEvidence(path) {
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
