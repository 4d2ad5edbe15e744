package adaptertest

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/csaf"
	"github.com/stella-ops/exportcenter/ledger/cyclonedx"
	"github.com/stella-ops/exportcenter/ledger/detect"
	"github.com/stella-ops/exportcenter/ledger/findings"
	"github.com/stella-ops/exportcenter/ledger/gavlist"
	"github.com/stella-ops/exportcenter/ledger/openvex"
	"github.com/stella-ops/exportcenter/ledger/osv"
	"github.com/stella-ops/exportcenter/ledger/sample"
	"github.com/stella-ops/exportcenter/ledger/spdx"
)

// Entry is a document before the ledger has read it.
type Entry struct {
	Source, Stream string
	Text           []byte
}

// Lines gives documents as packing gets them: read as the ledger reads them, in
// the order of an export.
func Lines(t testing.TB, entries ...Entry) (lines []ledger.Line) {
	t.Helper()
	read := detect.Reader(
		// Our own first: they may have an id and a time, as advisories have.
		detect.Format{Name: gavlist.Format, Recognise: gavlist.Recognise, Parse: gavlist.Parse},
		detect.Format{Name: findings.Format, Recognise: findings.Recognise, Parse: findings.Parse},
		detect.Format{Name: osv.Format, Recognise: osv.Recognise, Parse: osv.Parse},
		detect.Format{Name: openvex.Format, Recognise: openvex.Recognise, Parse: openvex.Parse},
		detect.Format{Name: csaf.Format, Recognise: csaf.Recognise, Parse: csaf.Parse},
		detect.Format{Name: cyclonedx.Format, Recognise: cyclonedx.Recognise, Parse: cyclonedx.Parse},
		detect.Format{Name: spdx.Format, Recognise: spdx.Recognise, Parse: spdx.Parse},
	)
	for i, e := range entries {
		o, err := read(ledger.Entry{Source: e.Source, Stream: e.Stream, Bytes: e.Text})
		require.NoError(t, err, "entry %d", i)
		lines = append(lines, ledger.Line{
			Row: ledger.Row{Seq: 0, Kind: o.Kind, Subject: o.Subject, UpstreamID: o.UpstreamID, Source: o.Source, Stream: o.Stream,
				Digest: o.Digest, CanonicalBytes: int64(len(o.Canonical))},
			Format: o.Format, Modified: o.Modified, RawBytes: int64(len(o.Raw)),
			Ecosystems: o.Ecosystems, Products: o.Products, Aliases: o.Aliases, Canonical: o.Canonical,
		})
	}
	slices.SortFunc(lines, func(a, b ledger.Line) int { return strings.Compare(a.Key(), b.Key()) })
	return lines
}

// Originals are the texts of entries by their digest.
func Originals(entries ...Entry) map[bundle.Digest][]byte {
	originals := map[bundle.Digest][]byte{}
	for _, e := range entries {
		originals[bundle.DigestOf(e.Text)] = e.Text
	}
	return originals
}

// Sample are the advisories of package ledger/sample.
func Sample(t testing.TB) (entries []Entry) {
	t.Helper()
	paths, err := fs.Glob(sample.OSV, "osv/*.json")
	require.NoError(t, err)
	for _, path := range paths {
		text, err := fs.ReadFile(sample.OSV, path)
		require.NoError(t, err)
		entries = append(entries, Entry{Stream: "sample", Text: text})
	}
	return entries
}
