package jsonpolicy_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/adapters/jsonpolicy"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/policy"
)

// work is the adapter about the sample's advisories, and bills of materials and
// statements of our own.
func work(t testing.TB) adaptertest.Work {
	t.Helper()
	entries := adaptertest.Sample(t)
	paths, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.Len(t, paths, 3)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		entries = append(entries, adaptertest.Entry{Source: "harbour", Stream: "ferry", Text: text})
	}
	return adaptertest.Work{Adapter: jsonpolicy.Adapter{}, Packs: jsonraw.Adapter{}, Documents: adaptertest.Lines(t, entries...), Policy: baseline(t)}
}

func baseline(t testing.TB) adapters.Policy {
	t.Helper()
	raw, err := policy.Baseline()
	require.NoError(t, err)
	pack, err := policy.ReadPack(raw)
	require.NoError(t, err)
	return adapters.Policy{ID: policy.BaselineID, Name: policy.BaselineName, Version: pack.Revision, Digest: pack.Digest, Pack: raw}
}

func TestAdapterSuite(t *testing.T) { adaptertest.Run(t, subject(t)) }

// TestEveryBitCounts flips bits of a signed bundle of this kind.
func TestEveryBitCounts(t *testing.T) { adaptertest.Flips(t, subject(t)) }

func subject(t *testing.T) adaptertest.Subject {
	t.Helper()
	return adaptertest.Subject{
		Work: work(t),
		Read: readLines,
		Refused: map[string]export.Options{
			"decides on whole evidence": {Redaction: &export.Redaction{PolicyID: "p", Allow: map[string][]string{"advisory": {"*"}, "sbom": {"*"}, "vex": {"*"}}}},
		},
	}
}

// readLines counts lines with the standard library's JSON reader.
func readLines(t *testing.T, r adaptertest.Result) map[string]int64 {
	found := map[string]int64{}
	for _, f := range r.Payload {
		if !strings.HasSuffix(f.Path, ".zst") {
			continue
		}
		content, err := bundle.OpenPayload(bytes.NewReader(f.Stored))
		require.NoError(t, err)
		for lines := json.NewDecoder(content); lines.More(); found[f.Path]++ {
			var line map[string]any
			require.NoError(t, lines.Decode(&line))
		}
	}
	return found
}

// What the built-in pack decides about the sample, finding by finding. The
// advisory about slate_queue is withdrawn.
func TestDecisions(t *testing.T) {
	r, err := work(t).Do(t, t.Context())
	require.NoError(t, err)
	content, err := bundle.OpenPayload(bytes.NewReader(r.At(t, "data/policy/findings-0000000000000000.jsonl.zst")))
	require.NoError(t, err)
	var got []string
	for lines := json.NewDecoder(content); lines.More(); {
		var f policy.Finding
		require.NoError(t, lines.Decode(&f))
		got = append(got, strings.Join([]string{string(f.Action), f.SBOM.Subject, f.Component.Purl, f.Advisory.ID, f.Severity, string(f.Match), f.VEX, strings.Join(f.Fixed, ",")}, " "))
	}
	require.Equal(t, []string{
		"warn pkg:oci/ferry@3.1.0 pkg:golang/gitforge.example/harbourmaster/manifest@(devel) EXC-2026-0005 unknown undetermined  ",
		"suppress pkg:oci/ferry@3.1.0 pkg:maven/example.copperleaf/copperleaf-all@3.2.7?type=jar EXC-2026-0007 unknown range not_affected 3.2.8",
		"warn pkg:oci/ferry@3.1.0 pkg:npm/%40quillworks/markdown@6.5.0 EXC-2026-0002 medium range  7.0.3",
		"warn pkg:oci/ferry@3.1.0 pkg:npm/lanternfish-router@2.4.0 EXC-2026-0001 unknown range under_investigation 2.4.1",
		"warn pkg:oci/ferry@3.1.0 pkg:pypi/tidepool_client@1.11.1 EXC-2026-0003 unknown version  1.12.0",
		"warn pkg:oci/tug@1.0 pkg:cargo/pebble-arena@0.4.9 EXC-2026-0006 unknown range  0.5.0",
	}, got)
	said, err := bundle.PolicyOf(r.At(t, bundle.PolicySnapshotPath))
	require.NoError(t, err)
	require.Equal(t, baseline(t).Digest, said.PackDigest)
	require.Equal(t, "baseline-1", said.PolicyVersion)
	require.Equal(t, baseline(t).Pack, r.At(t, bundle.PolicyPackPath))
	require.NotEmpty(t, r.Sources)
}

// A snapshot whose row says other than its pack decides nothing.
func TestAnotherPackThanTheSnapshots(t *testing.T) {
	for _, change := range []func(*adapters.Policy){
		func(p *adapters.Policy) { p.Version = "other" },
		func(p *adapters.Policy) { p.Digest = bundle.DigestOf(nil) },
	} {
		w := work(t)
		change(&w.Policy)
		_, err := w.Do(t, t.Context())
		require.ErrorContains(t, err, "policy snapshot policy-baseline")
	}
	w := work(t)
	w.Policy.Pack = []byte("no pack")
	_, err := w.Do(t, t.Context())
	require.Equal(t, export.CodePolicySnapshot, export.CodeOf(err))
}
