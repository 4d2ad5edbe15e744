package verify

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
)

// TestPanicInAnyStepIsAFailure injects a panic before each step, and before
// the last check (TRUST V4).
func TestPanicInAnyStepIsAFailure(t *testing.T) {
	signer := bundletest.Key(t, 1)
	archive := bundletest.Build(t, bundletest.Options{Signer: signer})
	trust := Trust{bundletest.Verifier(t, signer)}
	for _, s := range new(verifier).steps() {
		t.Run(s.name, func(t *testing.T) {
			report, err := Reader(context.Background(), bytes.NewReader(archive), int64(len(archive)), trust, func(v *verifier) {
				v.before = func(_ context.Context, step string) {
					if step == s.name {
						panic("injected\x1b[2J")
					}
				}
			})
			var failure *Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, ReasonInternal, failure.Reason)
			require.Equal(t, 5, failure.ExitCode())
			require.Equal(t, StatusFailed, report.Status)
			require.Contains(t, failure.Message, "in step "+s.name+":")
			require.NotContains(t, failure.Message, "\x1b", "a message does not speak to a terminal")
		})
	}
}

// TestNothingCheckedIsNotVerified: a verifier whose steps did nothing says no.
func TestNothingCheckedIsNotVerified(t *testing.T) {
	require.NotNil(t, new(verifier).settled())
	good := Signature{OK: true, KeyID: "k"}
	v := &verifier{taken: len(new(verifier).steps()), report: Report{Signatures: slices.Repeat([]Signature{good}, 5), ArchiveDigest: "d"}}
	require.Nil(t, v.settled())
	v.taken--
	require.NotNil(t, v.settled())
	v.taken++
	v.report.Signatures[3].OK = false
	require.NotNil(t, v.settled())
	v.report.Signatures[3] = good
	v.report.Checks = []Check{{OK: true}, {OK: false}}
	require.NotNil(t, v.settled())
}
