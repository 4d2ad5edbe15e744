package activities

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// page keeps the lines it is given.
type page struct{ bytes.Buffer }

func (p *page) WriteLine(parts ...[]byte) error {
	for _, part := range parts {
		p.Write(part)
	}
	return p.WriteByte('\n')
}

// faulty is an adapter with a defect.
type faulty func(w adapters.LineWriter, doc ledger.Line) (adapters.Written, error)

func (f faulty) Write(w adapters.LineWriter, doc ledger.Line) (adapters.Written, error) {
	return f(w, doc)
}

func evidence(id, canonical string) ledger.Line {
	return ledger.Line{Row: ledger.Row{Kind: ledger.KindAdvisory, UpstreamID: id, Source: "osv", Stream: "s"}, Format: "osv", Canonical: []byte(canonical)}
}

func TestChangedEvidenceEndsTheRun(t *testing.T) {
	const canonical = `{"a":1,"b":2,"id":"X"}`
	start, end := []byte(adapters.RawStart), []byte(`}}`)
	line := func(raw string) faulty {
		return func(w adapters.LineWriter, _ ledger.Line) (adapters.Written, error) {
			return adapters.Written{Dropped: 1}, w.WriteLine(start, []byte(raw), end)
		}
	}
	for name, tt := range map[string]struct {
		adapter  faulty
		redacted bool
		says     string
	}{
		"other value":         {line(`{"a":1,"b":3,"id":"X"}`), false, "other evidence"},
		"shorter":             {line(`{"a":1,"id":"X"}`), false, "other evidence"},
		"white space":         {line(`{"a":1, "b":2,"id":"X"}`), false, "other evidence"},
		"redacted, not less":  {line(`{"a":1,"b":3,"id":"X"}`), true, "not canonical, or not less"},
		"redacted, unordered": {line(`{"id":"X","a":1}`), true, "not canonical"},
		"redacted, no JSON":   {line(`{"a":1`), true, "not canonical"},
		"redacted, uncounted": {func(w adapters.LineWriter, _ ledger.Line) (adapters.Written, error) {
			return adapters.Written{}, w.WriteLine(start, []byte(`{"a":1}`), end)
		}, true, "counted nothing"},
		"in place": {func(w adapters.LineWriter, doc ledger.Line) (adapters.Written, error) {
			doc.Canonical[5] = '7'
			return adapters.Written{}, w.WriteLine(start, doc.Canonical, end)
		}, false, "other evidence"},
		"another start": {func(w adapters.LineWriter, doc ledger.Line) (adapters.Written, error) {
			return adapters.Written{}, w.WriteLine([]byte(`{"content":{"row":`), doc.Canonical, end)
		}, false, "does not begin with"},
		"in one part": {func(w adapters.LineWriter, doc ledger.Line) (adapters.Written, error) {
			return adapters.Written{}, w.WriteLine([]byte(adapters.RawStart + string(doc.Canonical) + "}}"))
		}, false, "does not begin with"},
		"no line": {func(adapters.LineWriter, ledger.Line) (adapters.Written, error) { return adapters.Written{}, nil }, false, "wrote 0 lines"},
		"two lines": {func(w adapters.LineWriter, doc ledger.Line) (adapters.Written, error) {
			_ = w.WriteLine(start, doc.Canonical, end)
			return adapters.Written{}, w.WriteLine(start, doc.Canonical, end)
		}, false, "wrote 2 lines"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newEvidenceGuard(&page{}, tt.redacted).write(tt.adapter, evidence("X", canonical))
			require.Equal(t, export.CodeAOC, export.CodeOf(err))
			require.False(t, export.ClassOf(err).Retryable())
			require.ErrorContains(t, err, tt.says)
			require.ErrorContains(t, err, "advisory X")
		})
	}
	var out page
	g := newEvidenceGuard(&out, true)
	_, err := g.write(line(`{"a":1,"id":"X"}`), evidence("X", canonical))
	require.NoError(t, err)
	_, err = g.write(line(canonical), evidence("X", canonical))
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(out.String(), "\n"))
}

func packer(t testing.TB, redaction *export.Redaction) adapters.Packer {
	p, err := jsonraw.Adapter{}.Packer(export.Options{Redaction: redaction})
	require.NoError(t, err)
	return p
}

func TestAShardIsCountedAsItIsWritten(t *testing.T) {
	redaction := &export.Redaction{PolicyID: "p", Allow: map[string][]string{"advisory": {"id"}}}
	shards := []storage.Shard{}
	for i, docs := range [][]ledger.Line{
		{evidence("GHSA-1", `{"details":"d","id":"GHSA-1"}`), evidence("GHSA-2", `{"id":"GHSA-2"}`)},
		{evidence("GHSA-3", `{"a":1,"b":2,"id":"GHSA-3"}`), evidence("MINE-1", `{"id":"MINE-1"}`)},
	} {
		w := newDocumentWriter(&page{}, packer(t, redaction), true, redaction)
		for _, doc := range docs {
			require.NoError(t, w.write(doc))
		}
		text, err := w.counted()
		require.NoError(t, err)
		shards = append(shards, storage.Shard{Name: fmt.Sprint("shard", i), Kind: "advisory", Result: &storage.File{Tally: text}})
	}
	require.Equal(t, `{"dropped":1,"redaction":"`+redaction.Fingerprint()+`","sources":{"osv s GHSA -":2}}`, shards[0].Result.Tally)

	total, err := tallyOf(redaction, shards)
	require.NoError(t, err)
	require.Equal(t, &bundle.Redaction{PolicyID: "p", DroppedFields: map[string]int64{"advisories": 3}}, total.redaction)
	require.Equal(t, []bundle.Credit{
		{Documents: 1, Place: "osv/s", Licence: "licence not known to this program; ask the publisher"},
		{Documents: 3, Place: "osv/s", Publisher: "GitHub Advisory Database", URL: "https://github.com/github/advisory-database", Licence: "CC-BY-4.0"},
	}, total.credits)

	for name, wrong := range map[string]string{"without a redaction": "", "no tally": "{", "another": `{"redaction":"sha256:00"}`, "a count below zero": `{"dropped":-1}`} {
		one := storage.File{Tally: wrong}
		_, err := tallyOf(redaction, []storage.Shard{shards[0], {Name: "odd", Kind: "advisory", Result: &one}})
		require.ErrorContains(t, err, "odd", name)
		require.ErrorIs(t, err, storage.ErrCorrupt, name)
	}
	_, err = tallyOf(nil, shards)
	require.ErrorContains(t, err, "was packed under redaction", "a redacted shard is no part of a whole bundle")
	old, err := tallyOf(nil, []storage.Shard{{Name: "old", Kind: "vex", Result: &storage.File{}}})
	require.NoError(t, err)
	require.Empty(t, old.credits, "packed before sources were counted")
}

func TestManySourcesAreOneRow(t *testing.T) {
	var tally storage.Tally
	for i := range storage.MaxSources + 5 {
		tally.Count(fmt.Sprintf("s%05d t - -", i), 1)
	}
	tally.Count("s00000 t - -", 2)
	require.EqualValues(t, 3, tally.Sources["s00000 t - -"])
	require.EqualValues(t, 5, tally.Sources[storage.OtherSources])
	credits, err := creditsOf(tally.Sources)
	require.NoError(t, err)
	require.Len(t, credits, storage.MaxSources+1)
	require.Contains(t, credits[storage.MaxSources].Licence, "not known")
	_, err = creditsOf(map[string]int64{"| evil |": 1})
	require.ErrorIs(t, err, storage.ErrCorrupt)
}

// BenchmarkDocumentWriter is what a document costs besides its compression: the
// adapter alone, and with the proof and the counts around it.
func BenchmarkDocumentWriter(b *testing.B) {
	doc := evidence("GHSA-1", `{"details":"`+strings.Repeat("words of the usual length ", 60)+`","id":"GHSA-1"}`)
	redaction := &export.Redaction{PolicyID: "p", Allow: map[string][]string{"advisory": {"id"}}}
	b.Run("adapter", func(b *testing.B) {
		p := packer(b, nil)
		for b.Loop() {
			_, _ = p.Write(nothing{}, doc)
		}
	})
	b.Run("whole", func(b *testing.B) { benchmarkWriter(b, newDocumentWriter(nothing{}, packer(b, nil), true, nil), doc) })
	b.Run("redacted", func(b *testing.B) {
		benchmarkWriter(b, newDocumentWriter(nothing{}, packer(b, redaction), true, redaction), doc)
	})
}

func benchmarkWriter(b *testing.B, w *documentWriter, doc ledger.Line) {
	b.ReportAllocs()
	for b.Loop() {
		if err := w.write(doc); err != nil {
			b.Fatal(err)
		}
	}
}

// nothing takes lines and keeps none.
type nothing struct{}

func (nothing) WriteLine(...[]byte) error { return nil }
