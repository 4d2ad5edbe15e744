package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/osv"
)

const sampleDir = "../ledger/sample/osv"

// generate gives the documents of a count and seed, as lines.
func generate(t *testing.T, o options) [][]byte {
	t.Helper()
	d, err := writeDocuments(t.TempDir(), o)
	require.NoError(t, err)
	raw, err := os.ReadFile(d.path)
	require.NoError(t, err)
	require.EqualValues(t, len(raw), d.bytes)
	return bytes.Split(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
}

func TestReplicasAreAdvisoriesOfTheirOwn(t *testing.T) {
	cases := map[string]options{
		"samples": {documents: 1000, seed: 1, sample: sampleDir},
		"real":    {documents: 20000, seed: 1, corpus: "../../shared/data/osv", sample: sampleDir},
	}
	for name, o := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(o.corpus); o.corpus != "" && err != nil {
				t.Skipf("missing: %s", o.corpus)
			}
			ids := map[string]bool{}
			for _, line := range generate(t, o) {
				doc, err := osv.Parse(ledger.Entry{Bytes: line})
				require.NoError(t, err, "%s", line)
				require.False(t, ids[doc.UpstreamID], "%s is there twice", doc.UpstreamID)
				ids[doc.UpstreamID] = true
			}
			require.Len(t, ids, o.documents)
		})
	}
}

func TestTheSameSeedGivesTheSameDocuments(t *testing.T) {
	o := options{documents: 300, seed: 7, sample: sampleDir}
	first := generate(t, o)
	require.Equal(t, first, generate(t, o))
	o.seed++
	other := generate(t, o)
	require.NotEqual(t, first, other)
	require.ElementsMatch(t, first, other, "another seed is another order")
}

func TestReplicaChangesIDNamesAndVersions(t *testing.T) {
	o, err := newOriginal([]byte(`{"id":"EXC-1","schema_version":"1.6.0","aliases":["CVE-2026-1"],"affected":[` +
		`{"package":{"name":"fern","purl":"pkg:npm/fern"},"ranges":[{"events":[{"introduced":"0"},{"fixed":"2.4.1"}]}]}]}`))
	require.NoError(t, err)
	require.Equal(t, string(o.line), string(o.replica(0)))
	require.Equal(t, `{"id":"EXC-1-3","schema_version":"1.9.0","aliases":["CVE-2026-13"],"affected":[`+
		`{"package":{"name":"fern-3","purl":"pkg:npm/fern-3"},"ranges":[{"events":[{"introduced":"0"},{"fixed":"2.7.1"}]}]}]}`, string(o.replica(3)))
}
