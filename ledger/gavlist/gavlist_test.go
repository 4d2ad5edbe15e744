package gavlist_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/gavlist"
)

const full = ` {"format":"stellaops.gav-list/v1","id":"central","modified":"2026-01-01T01:00:00+01:00","artifacts":[
 {"sha1":"da39a3ee5e6b4b0d3255bfef95601890afd80709","groupId":"org.example","artifactId":"lib","version":"1.0"},
 {"sha1":"DA39A3EE5E6B4B0D3255BFEF95601890AFD8070a","groupId":"org.example","artifactId":"lib","version":"2.0","archiveType":"aar"},
 {"sha1":"0a39a3ee5e6b4b0d3255bfef95601890afd80709","groupId":"a","artifactId":"b c?","version":"1.0"}]} `

func TestParseTakesWhatSelectionNeeds(t *testing.T) {
	doc := []byte(full)
	_, err := gavlist.Parse(ledger.Entry{Bytes: doc})
	require.ErrorContains(t, err, "not a list of Maven artifacts: artifacts[2].artifactId")
	doc = []byte(` {"format":"stellaops.gav-list/v1","id":"central","modified":"2026-01-01T01:00:00+01:00","artifacts":[
 {"sha1":"da39a3ee5e6b4b0d3255bfef95601890afd80709","groupId":"org.example","artifactId":"lib","version":"1.0"},
 {"sha1":"DA39A3EE5E6B4B0D3255BFEF95601890AFD8070a","groupId":"org.example","artifactId":"lib","version":"2.0","archiveType":"aar"}]} `)
	o, err := gavlist.Parse(ledger.Entry{Bytes: doc})
	require.NoError(t, err)
	canonical, err := bundle.Canonical(doc)
	require.NoError(t, err)
	require.Equal(t, ledger.Observation{
		Kind: ledger.KindArtifact, Format: "gav-list", Source: "gav-list", Stream: "default", UpstreamID: "central",
		Modified: "2026-01-01T00:00:00.000000000Z", Digest: bundle.DigestOf(doc), Raw: doc, Canonical: canonical,
		Subject: "pkg:maven/org.example/lib", Ecosystems: []string{"Maven"}, Products: []string{"pkg:maven/org.example/lib"},
	}, o)

	o, err = gavlist.Parse(ledger.Entry{Bytes: []byte(`{"format":"stellaops.gav-list/v1","artifacts":[]}`)})
	require.NoError(t, err)
	require.Equal(t, o.Digest.Hex(), o.UpstreamID, "a list without an id is known by its bytes")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`{"format":"stellaops.gav-list/v1","artifacts":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := gavlist.Parse(ledger.Entry{Bytes: raw})
		if err != nil {
			return
		}
		if err := o.Validate(); err != nil {
			t.Fatalf("accepted what the ledger refuses: %v", err)
		}
		again, err := gavlist.Parse(ledger.Entry{Bytes: o.Canonical})
		require.NoError(t, err)
		require.Equal(t, o.Products, again.Products)
	})
}
