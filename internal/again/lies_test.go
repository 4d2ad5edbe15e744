package again

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/mirrorfull"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/mirror/mirrortest"
)

// lying makes a mirror of two documents that a trusted key signed after somebody spoiled
// it, and opens it.
func lying(t *testing.T, spoil func(o *bundletest.Options)) (a *archive, withEvidence error) {
	t.Helper()
	m := mirrortest.Maker{Signer: bundletest.Key(t, 1), Change: spoil}
	made := m.Full(t, 1, mirrortest.Document{Kind: "advisory", ID: "a", Original: "one"}, mirrortest.Document{Kind: "advisory", ID: "b", Original: "two"})
	file := filepath.Join(t.TempDir(), "mirror.tar")
	require.NoError(t, os.WriteFile(file, made.Archive, 0o600))
	trust := verify.Trust{bundletest.Verifier(t, m.Signer)}
	a, err := openVerified(t.Context(), file, trust, verify.MirrorPolicy{})
	require.NoError(t, err, "each digest that is signed is right")
	t.Cleanup(func() { a.Close() })
	_, withEvidence = verify.File(t.Context(), file, trust, verify.WithEvidence())
	return a, withEvidence
}

// imported imports what the mirror has, as far as that needs no database.
func imported(t *testing.T, a *archive) error {
	t.Helper()
	h := &house{Options: Options{Log: slog.New(slog.DiscardHandler), Parse: func(e ledger.Entry) (ledger.Observation, error) {
		id := map[string]string{"one": "a", "two": "b"}[string(e.Bytes)]
		return ledger.Observation{Kind: "advisory", Source: e.Source, Stream: e.Stream, Format: "test", UpstreamID: id, Raw: e.Bytes}, nil
	}}, place: &place{dir: t.TempDir()}}
	_, _, err := h.imports(t.Context(), a)
	return err
}

// swap puts other originals in place of a mirror's, with a list of them.
func swap(t *testing.T, o *bundletest.Options, texts ...string) {
	t.Helper()
	var files []bundletest.File
	for _, f := range o.Files {
		if !bundle.IsOriginalsIndex(f.Path) && !bundle.IsOriginal(f.Path) {
			files = append(files, f)
		}
	}
	o.Files = append(files, bundletest.List(t, bundletest.Originals(texts...), true), bundletest.Segment(t, texts...))
}

func requireContradiction(t *testing.T, err error, path, says string) {
	t.Helper()
	var wrong *verify.Error
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, 2, wrong.ExitCode())
	require.Equal(t, path, wrong.Path)
	require.Contains(t, wrong.Message, says)
}

// A mirror is refused whose originals are others than its lines tell of, though a trusted
// key signed it: by whoever verifies its evidence, and by whoever builds it again.
func TestOtherOriginalsThanTheLinesTellOf(t *testing.T) {
	path := func(text string) string { return bundle.OriginalPath("advisory", bundle.DigestOf([]byte(text))) }
	for name, c := range map[string]struct {
		texts      []string
		path, says string
	}{
		"another in its place": {[]string{"one", "lie"}, path("two"), "and it is not there"},
		"one more":             {[]string{"one", "two", "lie"}, path("lie"), "no line of evidence tells of it"},
		"one less":             {[]string{"one"}, path("two"), "and it is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			a, withEvidence := lying(t, func(o *bundletest.Options) { swap(t, o, c.texts...) })
			requireContradiction(t, imported(t, a), c.path, c.says)
			if name == "one more" {
				return // nobody who reads the evidence misses anything
			}
			require.Error(t, withEvidence)
		})
	}
}

// A mirror is refused whose policy pack is another than its document names.
func TestAnotherPolicyPackThanIsNamed(t *testing.T) {
	a, _ := lying(t, func(o *bundletest.Options) {
		text, err := bundle.MarshalCanonical(mirrorfull.PolicyDocument{Schema: mirrorfull.PolicySchema, ID: "p", Name: "p", Version: "1", Digest: bundle.DigestOf([]byte("the pack")), Bytes: 8})
		require.NoError(t, err)
		for i, f := range o.Files {
			if f.Path == bundle.PolicyDocumentPath {
				o.Files[i].Stored, o.Files[i].Info = text, bundle.PayloadInfo{Records: 1, ContentDigest: bundle.DigestOf(text), ContentSize: int64(len(text))}
			}
		}
	})
	_, err := a.policy()
	requireContradiction(t, err, bundle.PolicyPackPath, "names the pack "+bundle.DigestOf([]byte("the pack")).String())
}

// An original that is larger than any may be is refused before it is read.
func TestAnOriginalOverTheLimit(t *testing.T) {
	i := &importing{}
	err := i.original(t.Context(), bundle.OriginalPath("advisory", bundle.DigestOf(nil)), bundle.MaxOriginal+1, bytes.NewReader(nil))
	require.ErrorContains(t, err, "has 67108865 bytes; an original has at most 67108864")
}
