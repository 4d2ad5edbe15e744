package rebuild_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/rebuild"
)

const shard = "data/raw/advisories-0000000000000000.jsonl.zst"

// world is a small bundle: one payload file of lines, a manifest and a README.
type world struct {
	t       *testing.T
	lines   []string
	version string
	level   string
	readme  string
	option  string // of the run, as the provenance has it
	raw     []byte // stored bytes of the payload file; nil: packed from lines
}

func (w world) side() rebuild.Side {
	w.t.Helper()
	var out bytes.Buffer
	writer, err := bundle.NewPayloadWriter(&out)
	require.NoError(w.t, err)
	for _, line := range w.lines {
		require.NoError(w.t, writer.WriteLine([]byte(line)))
	}
	info, err := writer.Close()
	require.NoError(w.t, err)
	stored := out.Bytes()
	if w.raw != nil {
		stored = w.raw
	}
	info.Digest, info.Size = bundle.DigestOf(stored), int64(len(stored))
	m := bundle.Manifest{Schema: bundle.ManifestSchema, Version: bundle.ManifestVersion, ExportID: "0190c0de-0000-7000-8000-000000000001",
		RunID: "0190c0de-0000-7000-8000-000000000001", Tenant: "acme", Selectors: []byte("{}"), GeneratedAt: "2026-11-22T00:00:00Z",
		Profile:     bundle.Profile{ID: "json-raw", Kind: "json", Variant: "raw", Name: "json:raw", Revision: 1},
		Compression: bundle.EncoderCompression(), Keys: []bundle.Key{{KeyID: bundle.DigestOf(nil).String(), Algorithm: "ed25519"}},
		Tool: bundle.Tool{Name: "exportcenter", Version: w.version, Adapters: map[string]string{"json:raw": "1"}}}
	if w.level != "" {
		m.Compression.Encoder = w.level
	}
	require.NoError(w.t, m.SetContents([]bundle.Content{bundle.NewContent(shard, info)}))
	manifest, err := m.Encode()
	require.NoError(w.t, err)
	entry := func(path string, content []byte) rebuild.Entry {
		return rebuild.Entry{Path: path, Digest: bundle.DigestOf(content), Size: int64(len(content)),
			Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
	}
	payload := entry(shard, stored)
	payload.Payload, payload.ContentDigest = true, info.ContentDigest
	if w.option == "" {
		w.option = "x"
	}
	provenance, err := bundle.NewProvenance(m, bundle.DigestOf(manifest), []byte(`{"asked":"`+w.option+`"}`), nil).Encode()
	require.NoError(w.t, err)
	readme := fmt.Sprintf("read %s%s\n| payload bytes, compressed | %d |\n", w.readme, m.PayloadDigest, m.Counts.Bytes)
	return rebuild.Side{Manifest: manifest, Entries: []rebuild.Entry{entry(bundle.ReadmePath, []byte(readme)), payload,
		entry(bundle.ManifestPath, manifest), entry(bundle.ProvenancePath, provenance)}}
}

func lines(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf(`{"content":{"raw":{"id":"A-%d"}},"format":"osv","kind":"advisory","source":"s","stream":"t","upstreamId":"A-%[1]d"}`, i))
	}
	return all
}

func TestIdentical(t *testing.T) {
	w := world{t: t, lines: lines(3), version: "1"}
	report, err := rebuild.Compare(t.Context(), w.side(), w.side())
	require.NoError(t, err)
	require.Equal(t, export.RebuildIdentical, report.Verdict)
	require.Nil(t, report.First)
	require.EqualValues(t, 4, report.Files)
	require.Equal(t, report.Recorded, report.Now)
}

func TestAnotherLineIsNamed(t *testing.T) {
	a, b := world{t: t, lines: lines(5000), version: "1"}, world{t: t, lines: lines(5000), version: "1"}
	b.lines[4321] = strings.Replace(b.lines[4321], `"format":"osv"`, `"format":"csaf"`, 1)
	report, err := rebuild.Compare(t.Context(), a.side(), b.side())
	require.NoError(t, err)
	require.Equal(t, export.RebuildDiffers, report.Verdict)
	require.Equal(t, shard, report.First.Path)
	require.Equal(t, "bytes", report.First.What)
	require.EqualValues(t, 4322, report.First.Line)
	require.Equal(t, "advisory s/t A-4321", report.First.Document)

	b.lines = a.lines[:4999]
	report, err = rebuild.Compare(t.Context(), a.side(), b.side())
	require.NoError(t, err)
	require.EqualValues(t, 5000, report.First.Line)
	require.Equal(t, "advisory s/t A-4999", report.First.Document)
	report, err = rebuild.Compare(t.Context(), b.side(), a.side())
	require.NoError(t, err)
	require.Equal(t, "advisory s/t A-4999", report.First.Document, "where the recorded side has ended, the other names it")
}

// Another encoder gives the same content in other bytes.
func TestAnotherEncoderIsTold(t *testing.T) {
	a := world{t: t, lines: lines(3), version: "1"}
	b := a
	b.level, b.raw = "github.com/other/zstd@v9", []byte("the same content in another form")
	report, err := rebuild.Compare(t.Context(), a.side(), b.side())
	require.NoError(t, err)
	require.Equal(t, export.RebuildEncoder, report.Verdict)
	require.True(t, report.First.SameContent)
	require.Zero(t, report.First.Line)
	require.NotEqual(t, report.Recorded.Encoder, report.Now.Encoder)
	b.lines = lines(4)
	b.raw = nil
	report, err = rebuild.Compare(t.Context(), a.side(), b.side())
	require.NoError(t, err)
	require.Equal(t, export.RebuildDiffers, report.Verdict, "another encoder excuses no other content")
}

func TestAnotherVersionIsTold(t *testing.T) {
	a := world{t: t, lines: lines(3), version: "1"}
	b := a
	b.version = "2"
	report, err := rebuild.Compare(t.Context(), a.side(), b.side())
	require.NoError(t, err)
	require.Equal(t, export.RebuildVersion, report.Verdict)
	require.Equal(t, bundle.ManifestPath, report.First.Path, "the README follows from it")
	require.Equal(t, "tool", report.First.Member)
	b.version, b.readme = "1", "me "
	report, err = rebuild.Compare(t.Context(), a.side(), b.side())
	require.NoError(t, err)
	require.Equal(t, export.RebuildDiffers, report.Verdict, "the manifest says nothing of another program")
	require.Equal(t, bundle.ReadmePath, report.First.Path)
	require.EqualValues(t, 5, report.First.Offset)
}

// Another program or encoder excuses no other words beside the payload.
func TestAnotherProgramExcusesNoOtherDescription(t *testing.T) {
	a := world{t: t, lines: lines(3), version: "1"}
	for verdict, b := range map[export.RebuildVerdict]world{
		export.RebuildVersion: {t: t, lines: lines(3), version: "2"},
		export.RebuildEncoder: {t: t, lines: lines(3), version: "1", level: "github.com/other/zstd@v9", raw: []byte("the same content in another form")},
	} {
		report, err := rebuild.Compare(t.Context(), a.side(), b.side())
		require.NoError(t, err)
		require.Equal(t, verdict, report.Verdict)
		for what, change := range map[string]func(w *world, s *rebuild.Side){
			"provenance": func(w *world, s *rebuild.Side) { w.option = "y"; *s = w.side() },
			"README":     func(w *world, s *rebuild.Side) { w.readme = "me "; *s = w.side() },
			"an entry":   func(_ *world, s *rebuild.Side) { s.Entries = s.Entries[1:] },
			"gone":       func(_ *world, s *rebuild.Side) { s.Entries[3].Open = nil },
		} {
			w, other := b, b.side()
			change(&w, &other)
			report, err := rebuild.Compare(t.Context(), a.side(), other)
			require.NoError(t, err)
			require.Equal(t, export.RebuildDiffers, report.Verdict, "%s: %s", verdict, what)
		}
	}
}

func TestMissingAndAdditionalEntries(t *testing.T) {
	w := world{t: t, lines: lines(3), version: "1"}
	a, b := w.side(), w.side()
	b.Entries = b.Entries[1:]
	for what, sides := range map[string][2]rebuild.Side{"missing": {a, b}, "additional": {b, a}} {
		report, err := rebuild.Compare(t.Context(), sides[0], sides[1])
		require.NoError(t, err)
		require.Equal(t, export.RebuildDiffers, report.Verdict)
		require.Equal(t, &export.RebuildDifference{Path: bundle.ReadmePath, What: what}, report.First)
	}
}

// A difference in a segment of originals is told in the entry it is in.
func TestAnotherOriginalIsNamed(t *testing.T) {
	paths := []string{bundle.OriginalPath("advisory", bundle.DigestOf([]byte("1"))), bundle.OriginalPath("vex", bundle.DigestOf([]byte("2")))}
	side := func(second string) rebuild.Side {
		var out bytes.Buffer
		w := bundle.NewEntryWriter(&out)
		for i, content := range []string{"one", second} {
			require.NoError(t, w.Entry(paths[i], int64(len(content)), strings.NewReader(content)))
		}
		return rebuild.Side{Entries: []rebuild.Entry{{Path: paths[0], Segment: true, Digest: bundle.DigestOf(out.Bytes()), Size: int64(out.Len()),
			Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }}}}
	}
	report, err := rebuild.Compare(t.Context(), side("two two"), side("two too"))
	require.NoError(t, err)
	require.Equal(t, export.RebuildDiffers, report.Verdict)
	require.Equal(t, &export.RebuildDifference{Path: paths[1], What: "bytes", Offset: 5}, report.First)
}
