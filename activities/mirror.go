package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// mirrored fills in what the manifest of a mirror says beyond its contents.
func (e *Export) mirrored(ctx context.Context, run export.Run, generation int64, adapter adapters.Adapter, payload []storage.File, m *bundle.Manifest) error {
	if _, mirrors := adapter.(adapters.Mirrors); !mirrors {
		return nil
	}
	files, err := e.Execution.BundleFiles(ctx, run.Ref())
	if err != nil {
		return fmt.Errorf("list segments of originals: %w", err)
	}
	m.Mirror = &bundle.Mirror{Generation: generation}
	for _, f := range files {
		if f.Entries {
			m.Mirror.Originals.Count += f.Records
			m.Mirror.Originals.Bytes += f.ContentSize
		}
	}
	at := slices.IndexFunc(payload, func(f storage.File) bool { return f.Path == bundle.DeltaPath })
	if at < 0 {
		return nil
	}
	text, err := e.get(ctx, run.Tenant, payload[at])
	if err != nil {
		return err
	}
	delta, err := bundle.DeltaOf(text)
	m.Delta, m.Mirror.Generation = &delta, delta.Target.Generation
	return err
}

// mirrorsIn gives a builder the mirrors it reads, and a way to originals.
func (e *Export) mirrorsIn(ctx context.Context, run export.Run, builder adapters.Builder, in *adapters.Input) error {
	reader, mirrors := builder.(adapters.Mirrors)
	if !mirrors || !reader.ReadsMirrors() {
		return nil
	}
	in.Original = func(ctx context.Context, digest bundle.Digest) ([]byte, error) {
		return e.Ledger.Original(ctx, run.Tenant, digest)
	}
	if run.Options.BaseRunID != "" {
		var err error
		if in.Base, err = e.mirroredRun(ctx, run, run.Options.BaseRunID); err != nil {
			return err
		}
		in.Target, err = e.mirroredRun(ctx, run, run.Options.TargetRunID)
		return err
	}
	if run.RebuildOf != "" {
		return nil // nothing of an earlier mirror is taken over
	}
	prior, files, err := e.Execution.PriorMirror(ctx, run)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	manifest, err := e.manifestOf(ctx, prior, files)
	if err != nil { // it only saves work
		e.log(run, export.PhaseAdapt).Warn("the mirror before cannot be read", "error", err.Error())
		return nil
	}
	in.Prior = &adapters.Prior{}
	for _, f := range files {
		if f.Entries {
			in.Prior.Segments = append(in.Prior.Segments, e.segment(run.Tenant, f))
		}
	}
	for _, file := range e.payloadFiles(run.Tenant, manifest, files) {
		if bundle.IsOriginalsIndex(file.Path) {
			in.Prior.Lists = append(in.Prior.Lists, file)
		}
	}
	slices.SortFunc(in.Prior.Lists, func(a, b adapters.MirrorFile) int { return a.Order - b.Order })
	return nil
}

// mirroredRun opens a full mirror that was published.
func (e *Export) mirroredRun(ctx context.Context, run export.Run, id string) (*adapters.Mirrored, error) {
	found, files, err := e.publishedMirror(ctx, run, id)
	if err != nil {
		return nil, err
	}
	manifest, err := e.manifestOf(ctx, found, files)
	if err != nil {
		return nil, err
	}
	plain, size := found.Result.Plain() // a delta is between what is opened
	archive, err := bundle.ParseDigest(plain)
	if err != nil {
		return nil, fmt.Errorf("archive digest of run %s: %w", id, err)
	}
	digest, err := bundle.ParseDigest(found.Result.ManifestDigest)
	if err != nil {
		return nil, fmt.Errorf("manifest digest of run %s: %w", id, err)
	}
	m := &adapters.Mirrored{
		End: bundle.DeltaEnd{ExportID: found.ID, Generation: found.Generation, ManifestDigest: digest,
			PayloadDigest: manifest.PayloadDigest, ContentRoot: bundle.ContentRoot(manifest.Contents),
			ArchiveDigest: archive, ArchiveBytes: size},
		Payload: e.payloadFiles(run.Tenant, manifest, files),
	}
	for _, f := range files {
		if f.Entries {
			m.Segments = append(m.Segments, e.segment(run.Tenant, f))
		} else if !f.Payload {
			m.Documents = append(m.Documents, adapters.Entry{Path: f.Path, Digest: f.Digest, Size: f.Size,
				Open: func(ctx context.Context) (io.ReadCloser, error) { return e.stored(ctx, run.Tenant, f) }})
		}
	}
	return m, nil
}

// manifestOf reads the manifest of a run that was published.
func (e *Export) manifestOf(ctx context.Context, run export.Run, files []storage.File) (bundle.Manifest, error) {
	at := slices.IndexFunc(files, func(f storage.File) bool { return f.Path == bundle.ManifestPath })
	if at < 0 {
		return bundle.Manifest{}, fmt.Errorf("run %s has no %s: %w", run.ID, bundle.ManifestPath, storage.ErrCorrupt)
	}
	text, err := e.get(ctx, run.Tenant, files[at])
	if err != nil {
		return bundle.Manifest{}, err
	}
	return bundle.ParseManifest(text)
}

// payloadFiles are the payload files of a manifest, as they are stored.
func (e *Export) payloadFiles(tenant string, m bundle.Manifest, files []storage.File) []adapters.MirrorFile {
	stored := map[string]storage.File{}
	for _, f := range files {
		if f.Payload {
			stored[f.Path] = f
		}
	}
	payload := make([]adapters.MirrorFile, 0, len(m.Contents))
	for _, c := range m.Contents {
		f := stored[c.Path]
		open := e.packedShard(tenant, storage.Shard{Name: c.Path, Result: &f}).Open
		if c.Form() == bundle.FormStored {
			open = func(ctx context.Context) (io.ReadCloser, error) { return e.stored(ctx, tenant, f) }
		}
		payload = append(payload, adapters.MirrorFile{Content: c, Open: open})
	}
	return payload
}

// stored reads a file as it is stored, and io.EOF only behind exactly those bytes.
func (e *Export) stored(ctx context.Context, tenant string, f storage.File) (io.ReadCloser, error) {
	blob, err := storage.OpenExact(ctx, e.Objects, tenant, f.Digest, f.Size)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Path, err)
	}
	stored := &storedBytes{r: io.NewSectionReader(blob, 0, blob.Size())}
	return &packedLines{name: f.Path, want: f.Digest, hash: newHash(), stored: stored, content: io.NopCloser(stored), blob: blob}, nil
}

// segment is a segment of originals as a builder reads it.
func (e *Export) segment(tenant string, f storage.File) adapters.Segment {
	return adapters.Segment{Path: f.Path, Count: f.Records, Content: f.ContentSize, Digest: f.Digest, Size: f.Size,
		Open: func(ctx context.Context) (bundle.Source, error) {
			return storage.OpenExact(ctx, e.Objects, tenant, f.Digest, f.Size)
		}}
}

// originalsOf gives the originals of a shard's documents, by their lines.
func (e *Export) originalsOf(ctx context.Context, run export.Run, s storage.Shard, lines []int32, yield func(int32, []byte) error) error {
	of := &packing{Export: e, claim: storage.Claim{Ref: run.Ref()}, run: run}
	var err error
	if of.from, err = readingOf(run, s.Source); err != nil {
		return err
	}
	if err := of.findPlaces(ctx, []storage.Shard{s}); err != nil {
		return err
	}
	wanted := make([]ledger.Place, len(lines))
	for i, line := range lines {
		if line < 0 || int(line) >= len(of.places) {
			return fmt.Errorf("%s has %d documents, and no line %d", s.Name, len(of.places), line)
		}
		wanted[i] = of.places[line]
	}
	next := 0
	err = e.Ledger.Originals(ctx, of.from.Tenant, wanted, func(_ ledger.Place, original []byte) error {
		next++
		return yield(lines[next-1], original)
	})
	if err != nil {
		return fmt.Errorf("originals of %s: %w", s.Name, err)
	}
	return nil
}
