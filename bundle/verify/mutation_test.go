package verify_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

const firstShard = "data/raw/advisories-0000000000000000.jsonl.zst"

// mutation is one defect and what it must be called.
type mutation struct {
	name   string
	class  verify.Class
	reason verify.Reason
	path   string // entry the failure must name, "" = any
	// only is the one kind of key this is possible with, "" = any.
	only signing.Algorithm
	// Exactly one of these makes the archive.
	options *bundletest.Options                             // spoiled while it was made, with good signatures
	pieces  func(t *testing.T, b *bundletest.Bundle)        // spoiled between the entries, not sealed again
	raw     func(t *testing.T, archive []byte) []byte       // spoiled as bytes
	whole   func(t *testing.T, b *bundletest.Bundle) []byte // made anew
}

// archive makes the spoiled archive of a bundle by signer.
func (m mutation) archive(t *testing.T, signer signing.Signer) []byte {
	return m.archiveOf(t, bundletest.Options{Signer: signer})
}

// archiveOf makes the spoiled archive of a bundle of other payload files.
func (m mutation) archiveOf(t *testing.T, of bundletest.Options) []byte {
	if m.options != nil {
		o := *m.options
		if o.Signer == nil {
			o.Signer = of.Signer
		}
		if o.Shards == nil {
			o.Shards, o.Files, o.Kind, o.Variant = of.Shards, of.Files, of.Kind, of.Variant
		}
		return bundletest.Build(t, o)
	}
	built := bundletest.New(t, of)
	switch {
	case m.pieces != nil:
		m.pieces(t, built)
		return built.Raw(t)
	case m.whole != nil:
		return m.whole(t, built)
	}
	return m.raw(t, built.Bytes(t))
}

func allMutations() []mutation {
	return slices.Concat(archiveMutations(), tarMutations(), entryMutations(), signatureMutations(), envelopeMutations(), foreignMutations(),
		documentMutations(), jsonMutations(), payloadMutations(), frameMutations(), missingMutations())
}

// refusals has what each mutation is called, line by line.
const refusals = "testdata/refusals.txt"

// passing matches what a new README or encoder would change: digests and places.
var passing = regexp.MustCompile(`[0-9a-f]{64}|[0-9]{4,}`)

// TestStructuralMutations: each of them, for each kind of key, is refused for
// its own reason. What the refusal says is held by a file that people read:
// UPDATE=1 writes it again.
func TestStructuralMutations(t *testing.T) {
	var said strings.Builder
	tried := 0
	for _, algorithm := range []signing.Algorithm{signing.ECDSAP256, signing.Ed25519} {
		signer := bundletest.Key(t, 1, algorithm)
		good := bundletest.Build(t, bundletest.Options{Signer: signer})
		for _, m := range allMutations() {
			if m.only != "" && m.only != algorithm {
				continue
			}
			tried++
			t.Run(string(algorithm)+"/"+m.name, func(t *testing.T) {
				archive := m.archive(t, signer)
				require.NotEqual(t, good, archive, "the mutation changed nothing")
				failure := m.requireRefused(t, archive, signer)
				if algorithm == signing.ECDSAP256 || m.only != "" {
					fmt.Fprintf(&said, "%s\n\t%s\n\t%s\n", m.name, strings.TrimSpace(fmt.Sprintf("%s (%s) %s", failure.Class, failure.Reason, failure.Path)),
						passing.ReplaceAllString(fmt.Sprintf("%.300s", failure.Message), "..."))
				}
			})
		}
	}
	t.Logf("%d mutations, %d refused bundles", len(allMutations()), tried)
	require.GreaterOrEqual(t, len(allMutations()), 60, "mutations have gone")
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(refusals, []byte(said.String()), 0o644))
	}
	want, err := os.ReadFile(refusals)
	require.NoError(t, err)
	require.Equal(t, string(want), said.String(), "what refusals say has changed; with UPDATE=1 look at the difference")
}

func (m mutation) requireRefused(t *testing.T, archive []byte, signer signing.Signer) verify.Failure {
	report, err := check(t, archive, signer)
	require.Error(t, err)
	require.Equal(t, verify.StatusFailed, report.Status)
	require.NotNil(t, report.Failure)
	require.Equal(t, m.reason, report.Failure.Reason, report.Failure.Message)
	require.Equal(t, m.class, report.Failure.Class)
	if m.path != "" {
		require.Equal(t, m.path, report.Failure.Path)
	}
	var failure *verify.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, m.class.ExitCode(), failure.ExitCode())
	require.NotZero(t, failure.ExitCode())
	return *report.Failure
}

func TestMutationsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range allMutations() {
		require.False(t, seen[m.name], m.name)
		seen[m.name] = true
	}
}
