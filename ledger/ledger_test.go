package ledger_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

func TestCleanName(t *testing.T) {
	tests := []struct{ in, want string }{
		{"go-vulndb", "go-vulndb"}, {"a b/c", "a-b-c"}, {"../..", "x"}, {"", "x"}, {"-lead", "lead"}, {".hidden", "hidden"},
		{"é", "x"}, {"a--b", "a--b"}, {"trail.-", "trail"}, {"Ünïcode name", "n-code-name"},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, ledger.CleanName(tt.in, "x"), "%q", tt.in)
	}
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.String().Draw(t, "name")
		clean := ledger.CleanName(in, "x")
		if !ledger.ValidName(clean) {
			t.Fatalf("%q became %q", in, clean)
		}
		if ledger.CleanName(clean, "y") != clean {
			t.Fatalf("%q is not cleaned once and for all", clean)
		}
	})
}

// Keys sort like the tuples they are made of.
func TestKeyOrder(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune(" !az~é\U0001F600")), 0, 4, -1)
	draw := func(t *rapid.T, name string) ledger.Row {
		return ledger.Row{
			Kind:    ledger.Kind(rapid.SampledFrom([]string{"advisory", "sbom"}).Draw(t, name+" kind")),
			Subject: text.Draw(t, name+" subject"), UpstreamID: text.Draw(t, name+" id"),
			Source: text.Draw(t, name+" source"), Stream: text.Draw(t, name+" stream"),
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		tuple := func(r ledger.Row) []string {
			return []string{string(r.Kind), r.Subject, r.UpstreamID, r.Source, r.Stream}
		}
		if slices.Compare(tuple(a), tuple(b)) != strings.Compare(a.Key(), b.Key()) {
			t.Fatalf("%q and %q", a.Key(), b.Key())
		}
	})
}

func TestGreaterIsATotalOrder(t *testing.T) {
	var all []ledger.Observation
	for _, modified := range []string{"", "0001-01-01T00:00:00.000000000Z", "2026-01-01T00:00:00.000000000Z"} {
		for d := byte(0); d < 3; d++ {
			all = append(all, ledger.Observation{Modified: modified, Digest: [32]byte{31: d}})
		}
	}
	for i, a := range all {
		for j, b := range all {
			require.Equal(t, i > j, ledger.Greater(a, b), "%d %d", i, j)
		}
	}
}

func TestEnvelopeGuard(t *testing.T) {
	require.NoError(t, ledger.CheckEnvelope([]string{"source", "stream", "entry", "mediaType", "bytes"}))
	for _, field := range []string{"severity", "cvss", "effective_status", "effective_", "risk_score"} {
		err := ledger.CheckEnvelope([]string{"source", field})
		require.Equal(t, export.CodeAOC, export.CodeOf(err), field)
		require.ErrorContains(t, err, field)
	}
}
