package verify_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

const firstShard = "data/raw/advisories-0000000000000000.jsonl.zst"

// mutation is one defect and what it must be called.
type mutation struct {
	name   string
	class  verify.Class
	reason verify.Reason
	path   string // entry the failure must name, "" = any
	// Exactly one of these makes the archive.
	options *bundletest.Options                             // spoiled while it was made, with good signatures
	pieces  func(t *testing.T, b *bundletest.Bundle)        // spoiled between the entries, not sealed again
	raw     func(t *testing.T, archive []byte) []byte       // spoiled as bytes
	whole   func(t *testing.T, b *bundletest.Bundle) []byte // made anew
}

func (m mutation) archive(t *testing.T) []byte {
	if m.options != nil {
		return bundletest.Build(t, *m.options)
	}
	built := bundletest.New(t, bundletest.Options{})
	switch {
	case m.pieces != nil:
		m.pieces(t, built)
		return built.Raw(t)
	case m.whole != nil:
		return m.whole(t, built)
	}
	return m.raw(t, built.Bytes(t))
}

func TestStructuralMutations(t *testing.T) {
	good := bundletest.Build(t, bundletest.Options{})
	all := slices.Concat(archiveMutations(), entryMutations(), signatureMutations(), documentMutations(), payloadMutations(), missingMutations())
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			archive := m.archive(t)
			require.NotEqual(t, good, archive, "the mutation changed nothing")
			report, err := check(t, archive, bundletest.Key(t, 1))
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
		})
	}
	t.Logf("%d mutations", len(all))
}
