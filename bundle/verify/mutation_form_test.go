package verify_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

// forms is a bundle of evidence and a payload file of every other form.
func forms(t testing.TB, signer signing.Signer) bundletest.Options {
	return bundletest.Options{Signer: signer, Kind: "json", Variant: "policy", Shards: bundletest.Small(), Files: bundletest.Forms(t)}
}

// TestMutationsBesideOtherForms: what is refused of a bundle of lines is refused of
// one that has files of every form, for the same reason.
func TestMutationsBesideOtherForms(t *testing.T) {
	signer := bundletest.Key(t, 1)
	good := bundletest.Build(t, forms(t, signer))
	tried, elsewhere := 0, 0
	for _, m := range allMutations() {
		if m.only != "" && m.only != signing.ECDSAP256 {
			continue
		}
		tried++
		t.Run(m.name, func(t *testing.T) {
			archive, applies := applied(t, m, forms(t, signer))
			if !applies {
				elsewhere++
				return
			}
			require.NotEqual(t, good, archive, "the mutation changed nothing")
			report, err := verify.Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)), verify.Trust{bundletest.Verifier(t, signer)})
			var failure *verify.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, verify.StatusFailed, report.Status)
			require.NotEqual(t, verify.ReasonInternal, failure.Reason, failure.Message)
		})
	}
	t.Logf("%d mutations refused, %d are of a text that this bundle does not have", tried-elsewhere, elsewhere)
	require.GreaterOrEqual(t, tried-elsewhere, 390, "mutations have gone")
	require.LessOrEqual(t, elsewhere, 10)
}

// applied makes the spoiled archive; some change a text with numbers that only the
// plain bundle has, and say so by a panic.
func applied(t *testing.T, m mutation, of bundletest.Options) (archive []byte, applies bool) {
	return made(func() []byte { return m.archiveOf(t, of) })
}

func made(make func() []byte) (archive []byte, applies bool) {
	defer func() {
		if p := recover(); p != nil {
			if text, says := p.(string); !says || !strings.Contains(text, " is not in ") {
				panic(p)
			}
		}
	}()
	return make(), true
}

// TestFilesOfFormsAreTheirForm: a signer that signs a file that is not of its form
// is not believed either.
func TestFilesOfFormsAreTheirForm(t *testing.T) {
	signer := bundletest.Key(t, 1)
	trust := verify.Trust{bundletest.Verifier(t, signer)}
	refused := func(name string, class verify.Class, reason verify.Reason, spoil func(o *bundletest.Options)) {
		t.Run(name, func(t *testing.T) {
			o := forms(t, signer)
			spoil(&o)
			archive := bundletest.Build(t, o)
			_, err := verify.Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)), trust)
			var failure *verify.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, class, failure.Class, failure.Message)
			require.Equal(t, reason, failure.Reason, failure.Message)
		})
	}
	payload := func(at string, change func([]byte) []byte) func(o *bundletest.Options) {
		return func(o *bundletest.Options) {
			o.Payload = func(path string, stored []byte) []byte {
				if path == at {
					return change(stored)
				}
				return stored
			}
		}
	}
	for _, path := range []string{bundle.TrivyDBPath, bundle.TrivyJavaPath} {
		frame := func(name string, change func([]byte) []byte) {
			refused(path+" "+name, verify.ClassContent, verify.ReasonFrame, payload(path, change))
		}
		frame("not gzip", func([]byte) []byte { return []byte("database") })
		frame("byte behind", func(b []byte) []byte { return append(b, 0) })
		frame("second member", func(b []byte) []byte { return append(b, b...) })
		frame("cut", func(b []byte) []byte { return b[:len(b)-1] })
		frame("wrong checksum", func(b []byte) []byte { b[len(b)-8] ^= 1; return b })
		frame("third entry", func(b []byte) []byte {
			return regzip(func(tar []byte) []byte { return append(bytes.Clone(tar[:1024]), tar...) }, b)
		})
		frame("bomb", func(b []byte) []byte {
			return regzip(func(tar []byte) []byte { return append(tar, make([]byte, 64<<20)...) }, b)
		})
		refused(path+" other database", verify.ClassContent, verify.ReasonContent,
			payload(path, func(b []byte) []byte { return regzip(func(tar []byte) []byte { tar[3*512] ^= 1; return tar }, b) }))
	}
	refused("snapshot says other", verify.ClassContent, verify.ReasonPolicy, func(o *bundletest.Options) {
		o.Manifest = func(m *bundle.Manifest) { m.Policy.InputsHash[0] ^= 1 }
	})
	refused("snapshot without a member", verify.ClassContent, verify.ReasonPolicy, func(o *bundletest.Options) {
		pack := o.Files[1].Info.ContentDigest
		o.Files[0].Stored = []byte(`{"snapshotId":"x"}`)
		o.Files[0].Info.ContentDigest, o.Files[0].Info.ContentSize = bundle.DigestOf(o.Files[0].Stored), int64(len(o.Files[0].Stored))
		o.Manifest = func(m *bundle.Manifest) {
			m.Policy = &bundle.Policy{SnapshotID: "x", PolicyVersion: "1", PackDigest: pack, InputsHash: pack, DecisionTrace: pack}
		}
	})
	refused("another pack than the manifest says", verify.ClassContent, verify.ReasonManifest, func(o *bundletest.Options) {
		o.Documents = func(path string, encoded []byte) []byte {
			if path != bundle.ManifestPath {
				return encoded
			}
			i := bytes.Index(encoded, []byte(`"packDigest":"sha256:`)) + 21
			encoded[i] = map[bool]byte{true: '1', false: '0'}[encoded[i] == '0']
			return encoded
		}
	})
}

func regzip(change func([]byte) []byte, stored []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(stored))
	if err != nil {
		panic(err)
	}
	tar, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(change(tar)); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}
