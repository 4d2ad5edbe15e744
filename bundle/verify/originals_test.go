package verify_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

func TestMirrorsAreVerified(t *testing.T) {
	signer := bundletest.Key(t, 1)
	report, err := check(t, bundletest.Build(t, bundletest.Mirror(t, signer)), signer)
	require.NoError(t, err)
	require.EqualValues(t, 3, report.Originals)
	empty := bundletest.Mirror(t, signer)
	empty.Files = empty.Files[:3] // nothing was selected
	report, err = check(t, bundletest.Build(t, empty), signer)
	require.NoError(t, err)
	require.Zero(t, report.Originals)
}

// TestMutationsBesideAMirror: what is refused of other bundles is refused of a mirror.
func TestMutationsBesideAMirror(t *testing.T) {
	signer := bundletest.Key(t, 1)
	good := bundletest.Build(t, bundletest.Mirror(t, signer))
	tried, elsewhere := 0, 0
	for _, m := range allMutations() {
		if m.only != "" && m.only != signing.ECDSAP256 {
			continue
		}
		tried++
		t.Run(m.name, func(t *testing.T) {
			archive, applies := applied(t, m, bundletest.Mirror(t, signer))
			if !applies {
				elsewhere++
				return
			}
			require.NotEqual(t, good, archive, "the mutation changed nothing")
			report, err := check(t, archive, signer)
			var failure *verify.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, verify.StatusFailed, report.Status)
			require.NotEqual(t, verify.ReasonInternal, failure.Reason, failure.Message)
		})
	}
	t.Logf("%d mutations refused, %d are of a text that this bundle does not have", tried-elsewhere, elsewhere)
	require.GreaterOrEqual(t, tried-elsewhere, 380, "mutations have gone")
}

// TestOriginalsAreThoseOfTheLists: a signer that seals an archive whose originals are
// not those of its lists is not believed either.
func TestOriginalsAreThoseOfTheLists(t *testing.T) {
	signer := bundletest.Key(t, 1)
	other := []byte(`{"id":"GO-2026-0009"}`)
	otherPath := bundle.OriginalPath("advisory", bundle.DigestOf(other))
	resealed := func(spoil func(b *bundletest.Bundle)) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			b := bundletest.New(t, bundletest.Mirror(t, signer))
			spoil(b)
			slices.SortStableFunc(b.Entries, func(x, y bundletest.Entry) int {
				switch {
				case bundle.PathBefore(x.Path, y.Path):
					return -1
				case bundle.PathBefore(y.Path, x.Path):
					return 1
				}
				return 0
			})
			b.Sum(t)
			b.Seal(t, signer, bundle.SealPayloadType, nil)
			return b.Bytes(t)
		}
	}
	made := func(spoil func(o *bundletest.Options)) func(t *testing.T) []byte {
		return func(t *testing.T) []byte {
			o := bundletest.Mirror(t, signer)
			spoil(&o)
			return bundletest.Build(t, o)
		}
	}
	all := bundletest.Originals(`{"id":"GO-2026-0001", "summary":"a"}`, `{"id":"GO-2026-0002"}`, "{\n \"id\": \"GO-2026-0003\"\n}\n")
	lines := func(change func(lines []string) []string) func(t *testing.T) []byte {
		return made(func(o *bundletest.Options) {
			var text []string
			for _, line := range all {
				text = append(text, string(line.Append(nil)))
			}
			list := bundletest.LinesFile(t, o.Files[3].Path, change(text)...)
			o.Files = append(o.Files[:3:3], list, o.Files[5])
			count := list.Info.Records
			o.Manifest = func(m *bundle.Manifest) { m.Mirror.Originals.Count = count }
		})
	}
	for name, c := range map[string]struct {
		archive func(t *testing.T) []byte
		class   verify.Class
		reason  verify.Reason
	}{
		"content changed": {resealed(func(b *bundletest.Bundle) {
			b.ReplaceOriginal(t, 1, all[1].Path, bytes.Repeat([]byte{'x'}, int(all[1].Bytes)))
		}), verify.ClassContent, verify.ReasonDigest},
		"one more": {resealed(func(b *bundletest.Bundle) {
			b.Entries = append(b.Entries, bundletest.Entry{Path: otherPath, Data: other})
		}),
			verify.ClassContent, verify.ReasonUnlisted},
		"one more behind all": {resealed(func(b *bundletest.Bundle) {
			b.Entries = append(b.Entries, bundletest.Entry{Path: bundle.OriginalPath("vex", bundle.DigestOf(other)), Data: other})
		}), verify.ClassContent, verify.ReasonUnlisted},
		"one less":         {resealed(func(b *bundletest.Bundle) { b.Remove(all[0].Path) }), verify.ClassAbsent, verify.ReasonMissing},
		"the last is gone": {resealed(func(b *bundletest.Bundle) { b.Remove(all[2].Path) }), verify.ClassAbsent, verify.ReasonMissing},
		"all are gone": {resealed(func(b *bundletest.Bundle) {
			for _, o := range all {
				b.Remove(o.Path)
			}
		}), verify.ClassAbsent, verify.ReasonMissing},
		"of another length": {resealed(func(b *bundletest.Bundle) { b.ReplaceOriginal(t, 0, all[0].Path, []byte("x")) }), verify.ClassContent, verify.ReasonPayloadSize},
		"under another kind": {resealed(func(b *bundletest.Bundle) {
			b.ReplaceOriginal(t, 2, strings.Replace(all[2].Path, "advisory", "vex", 1), nil)
		}), verify.ClassAbsent, verify.ReasonMissing},
		"name in capitals": {resealed(func(b *bundletest.Bundle) {
			b.ReplaceOriginal(t, 0, "data/original/advisory/"+strings.Repeat("A", 64), nil)
		}), verify.ClassContent, verify.ReasonUnknown},
		"name of no digest":           {resealed(func(b *bundletest.Bundle) { b.ReplaceOriginal(t, 0, "data/original/advisory/x", nil) }), verify.ClassContent, verify.ReasonUnknown},
		"line twice":                  {lines(func(l []string) []string { return append(l[:1:1], l...) }), verify.ClassContent, verify.ReasonEvidence},
		"lines exchanged":             {lines(func(l []string) []string { return []string{l[1], l[0], l[2]} }), verify.ClassContent, verify.ReasonUnlisted},
		"line missing":                {lines(func(l []string) []string { return l[:2] }), verify.ClassContent, verify.ReasonUnlisted},
		"line with white space":       {lines(func(l []string) []string { l[0] = " " + l[0]; return l }), verify.ClassContent, verify.ReasonEvidence},
		"line with a carriage return": {lines(func(l []string) []string { l[0] += "\r"; return l }), verify.ClassContent, verify.ReasonEvidence},
		"line with another member":    {lines(func(l []string) []string { l[0] = l[0][:len(l[0])-1] + `,"x":1}`; return l }), verify.ClassContent, verify.ReasonEvidence},
		"line of another length":      {lines(func(l []string) []string { l[0] = strings.Replace(l[0], `"bytes":`, `"bytes":1`, 1); return l }), verify.ClassContent, verify.ReasonPayloadSize},
		"line of more than any may have": {lines(func(l []string) []string {
			l[0] = strings.Replace(l[0], `"bytes":`, `"bytes":67108865,"x":`, 1)
			return []string{l[0][:strings.Index(l[0], `"x":`)] + l[0][strings.Index(l[0], `"path"`):]}
		}), verify.ClassContent, verify.ReasonEvidence},
		"line that is long":    {lines(func(l []string) []string { l[0] = strings.Repeat(" ", 4096) + l[0]; return l }), verify.ClassContent, verify.ReasonEvidence},
		"manifest counts more": {made(func(o *bundletest.Options) { o.Manifest = func(m *bundle.Manifest) { m.Mirror.Originals.Bytes++ } }), verify.ClassContent, verify.ReasonManifest},
		"originals in checksums.txt": {made(func(o *bundletest.Options) {
			o.Checksums = func(sums []byte) []byte { return withOriginal(sums, all[0].Path) }
		}), verify.ClassContent, verify.ReasonChecksumsMismatch},
		"lists in the wrong order":      {made(func(o *bundletest.Options) { o.Files[3], o.Files[4] = o.Files[4], o.Files[3] }), verify.ClassContent, verify.ReasonUnlisted},
		"in a bundle that lists none":   {made(func(o *bundletest.Options) { o.Files = append(o.Files[:3:3], o.Files[5]); noCount(o) }), verify.ClassContent, verify.ReasonUnlisted},
		"in a bundle that is no mirror": {made(func(o *bundletest.Options) { o.Kind, o.Variant, o.Files = "json", "raw", o.Files[5:] }), verify.ClassContent, verify.ReasonUnlisted},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := check(t, c.archive(t), signer)
			var failure *verify.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, c.class, failure.Class, failure.Message)
			require.Equal(t, c.reason, failure.Reason, failure.Message)
		})
	}
}

func noCount(o *bundletest.Options) {
	o.Manifest = func(m *bundle.Manifest) { m.Mirror.Originals.Count = 0 }
}

func withOriginal(sums []byte, path string) []byte {
	listed, err := bundle.ParseChecksums(sums)
	if err != nil {
		panic(err)
	}
	_, digest, err := bundle.ParseOriginalPath(path)
	if err != nil {
		panic(err)
	}
	return bundle.Checksums(append(listed, bundle.Listed{Path: path, Digest: digest}))
}

// TestMirrorsSayWhatTheyAre: members of the manifest that do not belong together are
// refused before anything is believed.
func TestMirrorsSayWhatTheyAre(t *testing.T) {
	good := bundletest.New(t, bundletest.Mirror(t, bundletest.Key(t, 1))).Manifest
	for name, spoil := range map[string]func(m *bundle.Manifest){
		"no mirror member": func(m *bundle.Manifest) { m.Mirror = nil },
		"another kind":     func(m *bundle.Manifest) { m.Profile.Kind = "json" },
		"generation 0":     func(m *bundle.Manifest) { m.Mirror = &bundle.Mirror{Originals: m.Mirror.Originals} },
		"fewer originals": func(m *bundle.Manifest) {
			m.Mirror = &bundle.Mirror{Generation: 1, Originals: bundle.Originals{Count: 2}}
		},
		"delta of a full one": func(m *bundle.Manifest) { m.Delta = &bundle.Delta{} },
		"full one as a delta": func(m *bundle.Manifest) { m.Profile.Variant = "delta" },
	} {
		m := good
		spoil(&m)
		_, err := m.Encode()
		require.Error(t, err, name)
	}
	_, err := good.Encode()
	require.NoError(t, err)
}
