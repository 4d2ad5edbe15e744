// Package adaptertest is the one suite that every adapter passes: the suite says
// what an adapter is. It stands in for the rooms around it - documents come from a
// list, files go into memory - so that an adapter is tested as it is called.
package adaptertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// Stamp is when the runs of tests were asked for.
var Stamp = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// File is a payload file as a bundle has it.
type File struct {
	Path   string
	Stored []byte
	Info   bundle.PayloadInfo
}

// Result is what an adapter made of documents.
type Result struct {
	// Payload are the files of the bundle, in the run's order.
	Payload []File
	Sources []adapters.SourceCount
	Dropped int64
}

// Contents are the payload files as a manifest lists them.
func (r Result) Contents() []bundle.Content {
	contents := make([]bundle.Content, 0, len(r.Payload))
	for _, f := range r.Payload {
		if !bundle.IsOriginal(f.Path) { // lists name those
			contents = append(contents, bundle.NewContent(f.Path, f.Info))
		}
	}
	return contents
}

// At gives the stored bytes of the file at path.
func (r Result) At(t testing.TB, path string) []byte {
	t.Helper()
	for _, f := range r.Payload {
		if f.Path == path {
			return f.Stored
		}
	}
	require.Fail(t, "no such file", path)
	return nil
}

// Work says how an adapter is put to work.
type Work struct {
	Adapter adapters.Adapter
	// Packs packs the shards; nil is the adapter itself.
	Packs     adapters.Adapter
	Documents []ledger.Line // in the order of their keys
	Options   export.Options
	Policy    adapters.Policy
	// Originals are what was imported, by digest, for kinds that hold it.
	Originals map[bundle.Digest][]byte
	// Prior, Base and Target are the mirrors that a kind of mirrors reads.
	Prior        *adapters.Prior
	Base, Target *adapters.Mirrored
	// Cut says before which documents a shard begins; nil is the rule of bundles.
	Cut func(key []byte, size int64) bool
	// Backwards packs the last shard first, as another worker might.
	Backwards bool
	// Step is called before each shard is opened and each file begun.
	Step func(what string)
}

// Do has the adapter work: packs every shard, and builds.
func (w Work) Do(t testing.TB, ctx context.Context) (Result, error) {
	t.Helper()
	packs := w.Packs
	if packs == nil {
		packs = w.Adapter
	}
	packer, err := packs.Packer(w.Options)
	if err != nil {
		return Result{}, err
	}
	shards := w.shards()
	files, dropped, err := w.pack(ctx, packer, shards)
	if err != nil {
		return Result{}, err
	}
	builder, builds := w.Adapter.(adapters.Builder)
	if !builds {
		return Result{Payload: files, Dropped: dropped}, nil
	}
	return w.build(t, ctx, builder, shards, files)
}

// original gives a document as it was imported.
func (w Work) original(_ context.Context, digest bundle.Digest) ([]byte, error) {
	original, there := w.Originals[digest]
	if !there {
		return nil, fmt.Errorf("no original %s", digest)
	}
	return original, nil
}

// ships reports whether the packed shards are files of the bundle.
func (w Work) ships() bool {
	builder, builds := w.Adapter.(adapters.Builder)
	return !builds || builder.Ships()
}

// cutting is a shard before it is packed.
type cutting struct {
	path      string
	documents []ledger.Line
}

func (w Work) shards() (shards []cutting) {
	cut := w.Cut
	if cut == nil {
		cut = bundle.CutBefore
	}
	begun := map[ledger.Kind]bool{}
	var last ledger.Kind
	for _, doc := range w.Documents {
		key := doc.AppendKey(nil)
		if len(shards) == 0 || doc.Kind != last || cut(key, int64(len(doc.Canonical))) {
			path := bundle.ShardPath(doc.Kind.PayloadType(), string(key), !begun[doc.Kind])
			shards, begun[doc.Kind], last = append(shards, cutting{path: path}), true, doc.Kind
		}
		at := &shards[len(shards)-1]
		at.documents = append(at.documents, doc)
	}
	return shards
}

func (w Work) pack(ctx context.Context, packer adapters.Packer, shards []cutting) ([]File, int64, error) {
	files, dropped := make([]File, len(shards)), int64(0)
	for i := range shards {
		if w.Backwards {
			i = len(shards) - 1 - i
		}
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		var stored bytes.Buffer
		payload, err := bundle.NewPayloadWriter(&stored)
		if err != nil {
			return nil, 0, err
		}
		for _, doc := range shards[i].documents {
			written, err := packer.Write(payload, doc)
			if err != nil {
				return nil, 0, fmt.Errorf("pack %s: %w", doc.UpstreamID, err)
			}
			dropped += written.Dropped
		}
		info, err := payload.Close()
		if err != nil {
			return nil, 0, fmt.Errorf("pack %s: %w", shards[i].path, err)
		}
		files[i] = File{Path: shards[i].path, Stored: stored.Bytes(), Info: info}
	}
	return files, dropped, nil
}

func (w Work) step(what string) {
	if w.Step != nil {
		w.Step(what)
	}
}

// scratchMark is in the path of every scratch directory.
const scratchMark = "adaptertest-scratch"

func (w Work) build(t testing.TB, ctx context.Context, builder adapters.Builder, shards []cutting, packed []File) (Result, error) {
	scratch := filepath.Join(t.TempDir(), scratchMark)
	require.NoError(t, os.Mkdir(scratch, 0o700))
	in := adapters.Input{Options: w.Options, Policy: w.Policy, Stamp: Stamp, Scratch: scratch, Progress: func(int) {},
		Prior: w.Prior, Base: w.Base, Target: w.Target, Original: w.original}
	for i, f := range packed {
		in.Shards = append(in.Shards, adapters.Shard{
			Path: f.Path, Kind: shards[i].documents[0].Kind, Records: f.Info.Records,
			ContentDigest: f.Info.ContentDigest, ContentBytes: f.Info.ContentSize,
			Open: func(ctx context.Context) (io.ReadCloser, error) {
				w.step("open " + f.Path)
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				return bundle.OpenPayload(bytes.NewReader(f.Stored))
			},
			Originals: func(ctx context.Context, lines []int32, yield func(int32, []byte) error) error {
				for _, line := range lines {
					original, err := w.original(ctx, shards[i].documents[line].Digest)
					if err == nil {
						err = yield(line, original)
					}
					if err != nil {
						return err
					}
				}
				return nil
			},
		})
	}
	if w.Backwards && !builder.Ships() {
		slices.Reverse(in.Shards) // what sorts does not care
	}
	out := &output{work: w}
	built, err := builder.Build(ctx, in, out)
	if err != nil {
		return Result{}, err
	}
	result := Result{Sources: built.Sources}
	if builder.Ships() {
		result.Payload = packed
	}
	for i, f := range out.files {
		if !out.whole[i] {
			return Result{}, fmt.Errorf("%s was begun and never completed", f.Path)
		}
		result.Payload = append(result.Payload, f)
	}
	return result, nil
}
