package trivydb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// stamp is the time of the tests' runs.
var stamp = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// text gathers lines as a packed shard has them.
type text struct{ bytes.Buffer }

func (t *text) WriteLine(parts ...[]byte) error {
	for _, p := range parts {
		t.Write(p)
	}
	return t.WriteByte('\n')
}

// packAdvisory packs what a document of that source and stream would say.
func packAdvisory(t testing.TB, source, stream string, a advisory.Advisory) []byte {
	t.Helper()
	modified := ""
	if m, err := time.Parse(time.RFC3339, a.Modified); err == nil {
		modified = m.UTC().Format(ledger.ModifiedLayout)
	}
	doc := ledger.Line{Row: ledger.Row{Kind: ledger.KindAdvisory, UpstreamID: a.ID, Source: source, Stream: stream}, Modified: modified}
	p := &packing{doc: doc, note: note{Kind: string(doc.Kind), Source: source, Stream: stream, ID: a.ID, Modified: doc.Modified}}
	p.pack(a)
	var lines text
	require.NoError(t, p.write(&lines))
	return lines.Bytes()
}

// shard is packed lines as Build is given them.
func shard(lines []byte) adapters.Shard {
	digest := bundle.DigestOf(lines)
	return adapters.Shard{
		Path: fmt.Sprintf("data/raw/advisories-%x.jsonl.zst", digest[:8]), Kind: ledger.KindAdvisory,
		Records: int64(bytes.Count(lines, []byte("\n"))), ContentDigest: digest, ContentBytes: int64(len(lines)),
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(lines)), nil },
	}
}

// database is a result of Build, unpacked into a cache directory of Trivy's.
type database struct {
	cache   string
	path    string // of trivy.db
	summary Summary
	text    []byte // of the summary
	built   adapters.Built
	records int64
	about   []byte // metadata.json
}

// output keeps what Build makes in a directory.
type output struct {
	adapters.Output
	d *database
}

func (o output) Document(_ context.Context, path string, content []byte, _ int64) error {
	if path != bundle.TrivySummaryPath {
		return fmt.Errorf("document %s", path)
	}
	o.d.text = content
	return json.Unmarshal(content, &o.d.summary)
}

func (o output) Layer(_ context.Context, path string, layer adapters.Layer) error {
	if path != bundle.TrivyDBPath || layer.Name != "trivy.db" {
		return fmt.Errorf("layer %s %s", path, layer.Name)
	}
	o.d.records, o.d.about = layer.Records, layer.Metadata
	if err := os.WriteFile(filepath.Join(filepath.Dir(o.d.path), "metadata.json"), layer.Metadata, 0o600); err != nil {
		return err
	}
	file, err := os.Create(o.d.path)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, layer.Database)
	return joined(err, file.Close())
}

func joined(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func build(t testing.TB, shards ...adapters.Shard) *database {
	t.Helper()
	d := &database{cache: t.TempDir()}
	require.NoError(t, os.Mkdir(filepath.Join(d.cache, "db"), 0o700))
	d.path = filepath.Join(d.cache, "db", "trivy.db")
	var err error
	d.built, err = Adapter{}.Build(t.Context(), adapters.Input{Shards: shards, Stamp: stamp, Scratch: t.TempDir()}, output{d: d})
	require.NoError(t, err)
	return d
}

// buildOf builds the database of a few advisories of one source.
func buildOf(t testing.TB, advisories ...advisory.Advisory) *database {
	var lines []byte
	for _, a := range advisories {
		lines = append(lines, packAdvisory(t, "here", "test", a)...)
	}
	return build(t, shard(lines))
}

// affects makes what most tests need: versions of one package between events,
// "introduced 0", "fixed 1.2", ...
func affects(ecosystem, name string, events ...string) advisory.Affected {
	r := advisory.Range{Type: "ECOSYSTEM"}
	for _, e := range events {
		what, version, _ := strings.Cut(e, " ")
		switch what {
		case "introduced":
			r.Events = append(r.Events, advisory.Event{Introduced: version})
		case "fixed":
			r.Events = append(r.Events, advisory.Event{Fixed: version})
		case "last":
			r.Events = append(r.Events, advisory.Event{LastAffected: version})
		case "limit":
			r.Events = append(r.Events, advisory.Event{Limit: version})
		}
	}
	return advisory.Affected{Ecosystem: ecosystem, Name: name, Ranges: []advisory.Range{r}}
}

// real packs the real advisories beside the project: one stream for each kind
// of id, a shard for each few hundred documents.
func realShards(t testing.TB, documents [][]byte) (shards []adapters.Shard) {
	t.Helper()
	var lines text
	for i, raw := range documents {
		canonical, err := bundle.Canonical(raw)
		require.NoError(t, err)
		a, err := advisory.Read("osv", canonical)
		require.NoError(t, err)
		stream, _, _ := strings.Cut(a.ID, "-")
		doc := ledger.Line{
			Row: ledger.Row{Kind: ledger.KindAdvisory, UpstreamID: a.ID, Source: "osv", Stream: strings.ToLower(stream)}, Modified: a.Modified,
			Format: "osv", Canonical: canonical, Aliases: a.Aliases,
		}
		_, err = packer{}.Write(&lines, doc)
		require.NoError(t, err)
		if i%500 == 499 {
			shards = append(shards, shard(slices.Clone(lines.Bytes())))
			lines.Reset()
		}
	}
	return append(shards, shard(slices.Clone(lines.Bytes())))
}
