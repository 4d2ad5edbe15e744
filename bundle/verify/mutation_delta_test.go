package verify_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/mirror/mirrortest"
	"github.com/stella-ops/exportcenter/signing"
)

// deltaOptions are of a small delta: documents that came, changed and went.
func deltaOptions(t *testing.T) (of bundletest.Options) {
	t.Helper()
	m := mirrortest.Maker{Signer: bundletest.Key(t, 1), Change: func(o *bundletest.Options) {
		if o.Variant == "delta" {
			of = *o
		}
	}}
	document := func(id, text string) mirrortest.Document {
		return mirrortest.Document{Kind: "advisory", ID: id, Subject: "pkg:npm/" + id, Original: text}
	}
	base := m.Full(t, 1, document("a", "1"), document("b", "1"), document("c", "1"))
	m.Delta(t, base, m.Full(t, 2, document("a", "2"), document("c", "1"), document("d", "1")))
	require.NotEmpty(t, of.Files)
	of.Manifest = nil
	return of
}

// unmade is not made of a delta: who counts its lines as its documents encodes no such
// manifest (TestMirrorsSayWhatTheyAre).
const unmade = "signed contents: fewer records"

// otherwiseRefused are refused of a delta for another reason than of a bundle of evidence:
// an entry of another run has another length, what is put in stands elsewhere among the
// entries, and a place in the archive is one of another entry.
var otherwiseRefused = map[string]verify.Reason{
	"65,536 files that nobody lists":                                                              verify.ReasonOrder,
	"unlisted payload file":                                                                       verify.ReasonOrder,
	"padding not zero":                                                                            verify.ReasonDigest,
	"valid checksums of another tenant":                                                           verify.ReasonChecksumsMismatch,
	"valid checksums of an older run of this tenant":                                              verify.ReasonChecksumsMismatch,
	"payload file and texts of another run, its checksums":                                        verify.ReasonPayloadSize,
	"payload file of another run, valid there, sealed":                                            verify.ReasonPayloadSize,
	"all signed documents and the seal of another tenant":                                         verify.ReasonPayloadSize,
	"all signed documents and the seal of an older run of this tenant":                            verify.ReasonPayloadSize,
	"everything but the README of another tenant":                                                 verify.ReasonPayloadSize,
	"everything but the README of an older run of this tenant":                                    verify.ReasonPayloadSize,
	"manifest and provenance of a run of other documents, sealed":                                 verify.ReasonPayloadSize,
	"manifest and its signatures of another tenant, sealed":                                       verify.ReasonPayloadSize,
	"manifest and its signatures of an older run of this tenant, sealed":                          verify.ReasonPayloadSize,
	"manifest and provenance with their signatures of another tenant, sealed":                     verify.ReasonPayloadSize,
	"manifest and provenance with their signatures of another tenant, the seal left":              verify.ReasonPayloadSize,
	"manifest and provenance with their signatures of an older run of this tenant, sealed":        verify.ReasonPayloadSize,
	"manifest and provenance with their signatures of an older run of this tenant, the seal left": verify.ReasonPayloadSize,
}

// TestMutationsBesideADelta: what is refused of other bundles is refused of a delta, for
// the same reason, or for the one that is named above.
func TestMutationsBesideADelta(t *testing.T) {
	of := deltaOptions(t)
	good := bundletest.Build(t, of)
	report, err := check(t, good, of.Signer)
	require.NoError(t, err)
	require.Equal(t, verify.StatusVerified, report.Status)
	tried, elsewhere, other := 0, 0, map[string]verify.Reason{}
	for _, m := range allMutations() {
		if m.only != "" && m.only != signing.ECDSAP256 || m.name == unmade {
			continue
		}
		tried++
		t.Run(m.name, func(t *testing.T) {
			archive, applies := applied(t, m, of)
			if !applies {
				elsewhere++
				return
			}
			require.NotEqual(t, good, archive, "the mutation changed nothing")
			report, err := check(t, archive, of.Signer)
			var failure *verify.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, verify.StatusFailed, report.Status)
			require.NotZero(t, failure.ExitCode())
			if failure.Reason != m.reason {
				other[m.name] = failure.Reason
			}
		})
	}
	t.Logf("%d mutations refused, %d are of a text that this bundle does not have", tried-elsewhere, elsewhere)
	require.GreaterOrEqual(t, tried-elsewhere, 770, "mutations have gone")
	require.Equal(t, otherwiseRefused, other)
}

// TestMutationsWithinAnEncryptedDelta: a signer that spoils a delta before it is
// encrypted is refused by whoever opens it, and by nearly all who cannot.
func TestMutationsWithinAnEncryptedDelta(t *testing.T) {
	of, alice := deltaOptions(t), bundletest.Identity(t, 0)
	for _, mode := range encryptionModes {
		within, only := 0, 0
		for _, m := range allMutations() {
			if m.options == nil || m.only != "" && m.only != signing.ECDSAP256 || m.name == unmade {
				continue
			}
			t.Run(mode+"/"+m.name, func(t *testing.T) {
				o := *m.options
				if o.Signer == nil {
					o.Signer = of.Signer
				}
				if o.Shards == nil {
					o.Shards, o.Files, o.Kind, o.Variant = of.Shards, of.Files, of.Kind, of.Variant
				}
				archive, applies := made(func() []byte {
					_, encrypted := bundletest.BuildEncrypted(t, o, bundletest.Encrypting{Mode: mode})
					return encrypted.Raw(t)
				})
				if !applies {
					return
				}
				within++
				if _, err := verifyWith(t, archive); err == nil {
					only++
				}
				_, err := verifyWith(t, archive, withIdentity(alice))
				var failure *verify.Error
				require.ErrorAs(t, err, &failure)
				require.NotEqual(t, verify.ReasonInternal, failure.Reason, failure.Message)
			})
		}
		t.Logf("%s: %d mutations refused, %d of them only by who has the key", mode, within, only)
		require.Greater(t, within, 100, "mutations have gone")
	}
}

// encryptedOptions are the bundles whose layer is mutated: of evidence, and a delta.
func encryptedOptions(t *testing.T) map[string]bundletest.Options {
	t.Helper()
	return map[string]bundletest.Options{"evidence": {}, "delta": deltaOptions(t)}
}
