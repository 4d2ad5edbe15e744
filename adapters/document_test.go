package adapters_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// A document line says what the ledger says, in its one spelling, and is read back.
func TestADocumentLine(t *testing.T) {
	row := ledger.Row{Kind: ledger.KindAdvisory, UpstreamID: "GHSA-\"1\"", Source: "ghsa", Stream: "npm"}
	for _, aliases := range [][]string{nil, {"CVE-2026-1"}, {"CVE-2026-1", "a\u2028<b>"}} {
		line, err := adapters.AppendDocument([]byte("x"), ledger.Line{Row: row, Aliases: aliases}, 3)
		require.NoError(t, err)
		canonical, err := bundle.Canonical(line[1:])
		require.NoError(t, err)
		require.Equal(t, string(canonical), string(line[1:]))
		doc, there, err := adapters.DocumentOf(line[1:])
		require.NoError(t, err)
		require.True(t, there)
		require.Len(t, doc.Aliases, len(aliases))
		require.Equal(t, adapters.Document{Key: row.Key(), ID: row.UpstreamID, Aliases: doc.Aliases, Records: 3, Source: "ghsa"}, doc)
		require.ElementsMatch(t, aliases, doc.Aliases)
	}
	_, err := adapters.AppendDocument(nil, ledger.Line{Row: ledger.Row{UpstreamID: "\xff"}}, 0)
	require.Error(t, err)
}

func TestOtherLinesAreNotDocuments(t *testing.T) {
	_, there, err := adapters.DocumentOf([]byte(`{"record":{}}`))
	require.NoError(t, err)
	require.False(t, there)
	for _, bad := range []string{`{"document":`, `{"document":{}}`, `{"document":{"key":"k","id":"i","records":-1}}`, `{"document":{"key":1}}`} {
		_, there, err := adapters.DocumentOf([]byte(bad))
		require.True(t, there, bad)
		require.Error(t, err, bad)
	}
}

func FuzzDocumentOf(f *testing.F) {
	f.Add([]byte(`{"document":{"aliases":["a"],"id":"i","key":"k","records":1,"source":"s"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		doc, there, err := adapters.DocumentOf(line)
		if err == nil && there && (doc.ID == "" || doc.Key == "" || doc.Records < 0) {
			t.Fatalf("%q", line)
		}
	})
}
