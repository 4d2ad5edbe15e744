// Package mirrortest makes full mirrors and the deltas between them, as the service
// does: through the adapters, in memory.
package mirrortest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/adapters/mirrordelta"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/signing"
)

// Document is a document of a world.
type Document struct {
	Kind     ledger.Kind
	ID       string
	Subject  string
	Original string
}

// key is the document's place.
func (d Document) key() string {
	return ledger.Row{Kind: d.Kind, Subject: d.Subject, UpstreamID: d.ID, Source: source, Stream: stream}.Key()
}

// All documents are of one source.
const source, stream = "test", "s"

func (d Document) line() ledger.Line {
	canonical := fmt.Appendf(nil, `{"id":%q,"text":%q}`, d.ID, strings.ToUpper(d.Original))
	return ledger.Line{
		Row: ledger.Row{Kind: d.Kind, Subject: d.Subject, UpstreamID: d.ID, Source: source, Stream: stream,
			Digest: bundle.DigestOf([]byte(d.Original)), CanonicalBytes: int64(len(canonical))},
		Format: "test", Canonical: canonical, RawBytes: int64(len(d.Original)),
	}
}

// Maker makes mirrors of a tenant.
type Maker struct {
	Signer signing.Signer
	// Tenant, Project, Profile and Selectors are those of "acme" when they are "".
	Tenant, Project, Profile, Selectors string
	// Target is the mean size of a shard; 0 is 2 KiB.
	Target int64
	// T is for what Change makes.
	T testing.TB
	// Change may spoil a bundle while it is made.
	Change func(*bundletest.Options)
}

// Mirror is a full mirror.
type Mirror struct {
	*bundletest.Bundle
	Archive []byte
	End     bundle.DeltaEnd
}

// cut is the rule of bundles at another scale, so that few documents make many shards.
func (m Maker) cut(key []byte, size int64) bool {
	scale := int64(bundle.ShardTarget / 2048)
	if m.Target > 0 {
		scale = bundle.ShardTarget / m.Target
	}
	return bundle.CutBefore(key, size*scale)
}

// Full makes the full mirror of documents.
func (m Maker) Full(t testing.TB, generation int64, documents ...Document) Mirror {
	t.Helper()
	slices.SortFunc(documents, func(a, b Document) int { return strings.Compare(a.key(), b.key()) })
	work := adaptertest.Work{Adapter: jsonraw.Adapter{}, Cut: m.cut}
	originals := map[string]string{}
	for _, d := range documents {
		line := d.line()
		work.Documents = append(work.Documents, line)
		originals[bundle.OriginalPath(string(d.Kind), line.Digest)] = d.Original
	}
	result, err := work.Do(t, context.Background())
	require.NoError(t, err)
	var files []bundletest.File
	for _, f := range result.Payload {
		files = append(files, bundletest.File{Path: f.Path, Stored: f.Stored, Info: f.Info})
	}
	files = append(files, m.indexes(documents)...)
	files = append(files, m.originals(t, originals)...)
	built := m.bundle(t, "full", fmt.Sprintf("full-%06d", generation), files, func(o *bundle.Manifest) { o.Mirror.Generation = generation })
	return Mirror{Bundle: built, Archive: built.Bytes(t), End: endOf(t, built)}
}

// indexes stands for the indexes of types: a file that every change changes.
func (m Maker) indexes(documents []Document) (files []bundletest.File) {
	types := map[string]int{}
	for _, d := range documents {
		types[d.Kind.PayloadType()]++
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		files = append(files, stored(bundle.IndexPath(name), fmt.Appendf(nil, `{"records":%d}`, types[name])))
	}
	return append(files, stored(bundle.PolicyPackPath, []byte("a pack that never changes")), stored(bundle.PolicyDocumentPath, []byte("{}")))
}

func stored(path string, content []byte) bundletest.File {
	return bundletest.File{Path: path, Stored: content, Info: bundle.PayloadInfo{ContentDigest: bundle.DigestOf(content), ContentSize: int64(len(content)), Records: 1}}
}

// originals makes the lists of originals, and one segment.
func (m Maker) originals(t testing.TB, content map[string]string) (files []bundletest.File) {
	t.Helper()
	if len(content) == 0 {
		return nil
	}
	var segment bytes.Buffer
	entries := bundle.NewEntryWriter(&segment)
	var list *bundle.PayloadWriter
	var text *bytes.Buffer
	end := func() {
		if list != nil {
			info, err := list.Close()
			require.NoError(t, err)
			files[len(files)-1].Stored, files[len(files)-1].Info = text.Bytes(), info
		}
	}
	paths := slices.Sorted(maps.Keys(content))
	for i, path := range paths {
		line := bundle.Original{Path: path, Bytes: int64(len(content[path]))}.Append(nil)
		if i == 0 || m.cut([]byte(path), int64(len(line))) {
			end()
			var err error
			text = &bytes.Buffer{}
			list, err = bundle.NewPayloadWriter(text)
			require.NoError(t, err)
			files = append(files, bundletest.File{Path: bundle.OriginalsIndexPath(path, i == 0)})
		}
		require.NoError(t, list.WriteLine(line))
		require.NoError(t, entries.Entry(path, int64(len(content[path])), strings.NewReader(content[path])))
	}
	end()
	return append(files, bundletest.File{Path: paths[0], Stored: segment.Bytes()})
}

func (m Maker) bundle(t testing.TB, variant, id string, files []bundletest.File, change func(*bundle.Manifest)) *bundletest.Bundle {
	t.Helper()
	options := bundletest.Options{Kind: "mirror", Variant: variant, RunID: id, Tenant: m.Tenant, Project: m.Project, Signer: m.Signer, Files: files,
		Manifest: func(o *bundle.Manifest) {
			if m.Profile != "" {
				o.Profile.ID = m.Profile
			}
			if m.Selectors != "" {
				o.Selectors = []byte(m.Selectors)
			}
			if change != nil {
				change(o)
			}
		}}
	if m.Change != nil {
		m.Change(&options)
	}
	return bundletest.New(t, options)
}

func endOf(t testing.TB, b *bundletest.Bundle) bundle.DeltaEnd {
	archive := b.Bytes(t)
	return bundle.DeltaEnd{
		ExportID: b.Manifest.ExportID, Generation: b.Manifest.Mirror.Generation, ManifestDigest: bundle.DigestOf(b.Data(t, bundle.ManifestPath)),
		PayloadDigest: b.Manifest.PayloadDigest, ContentRoot: bundle.ContentRoot(b.Manifest.Contents),
		ArchiveDigest: bundle.DigestOf(archive), ArchiveBytes: int64(len(archive)),
	}
}

// Mirrored is a mirror as a builder reads it.
func (m Mirror) Mirrored(t testing.TB) *adapters.Mirrored {
	t.Helper()
	read := &adapters.Mirrored{End: m.End}
	var segment bytes.Buffer
	entries, first := bundle.NewEntryWriter(&segment), ""
	for _, e := range m.Entries {
		open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(e.Data)), nil }
		switch {
		case bundle.IsOriginal(e.Path):
			require.NoError(t, entries.Entry(e.Path, int64(len(e.Data)), bytes.NewReader(e.Data)))
			if first == "" {
				first = e.Path
			}
		case !bundle.IsPayload(e.Path):
			read.Documents = append(read.Documents, adapters.Entry{Path: e.Path, Digest: bundle.DigestOf(e.Data), Size: int64(len(e.Data)), Open: open})
		default:
			at := slices.IndexFunc(m.Manifest.Contents, func(c bundle.Content) bool { return c.Path == e.Path })
			c := m.Manifest.Contents[at]
			if c.Form() == bundle.FormLines {
				open = func(context.Context) (io.ReadCloser, error) { return bundle.OpenPayload(bytes.NewReader(e.Data)) }
			}
			read.Payload = append(read.Payload, adapters.MirrorFile{Content: c, Open: open})
		}
	}
	if first != "" {
		read.Segments = []adapters.Segment{{Path: first, Size: int64(segment.Len()), Open: func(context.Context) (bundle.Source, error) {
			return memory{bytes.NewReader(segment.Bytes())}, nil
		}}}
	}
	return read
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// Delta makes the delta between two mirrors.
func (m Maker) Delta(t testing.TB, base, target Mirror) Mirror {
	t.Helper()
	work := adaptertest.Work{Adapter: mirrordelta.Adapter{}, Packs: jsonraw.Adapter{}, Base: base.Mirrored(t), Target: target.Mirrored(t)}
	result, err := work.Do(t, context.Background())
	require.NoError(t, err)
	var files []bundletest.File
	for _, f := range result.Payload {
		files = append(files, bundletest.File{Path: f.Path, Stored: f.Stored, Info: f.Info})
	}
	built := m.bundle(t, "delta", fmt.Sprintf("delta-%03d-%03d", base.End.Generation, target.End.Generation), files, nil)
	return Mirror{Bundle: built, Archive: built.Bytes(t)}
}
