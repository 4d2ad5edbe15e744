package e2e

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/again"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/mirror"
	"github.com/stella-ops/exportcenter/sealed"
)

// ofMirror makes a run of a kind that belongs to a mirror.
func (w *workshop) ofMirror(t *testing.T, kind string, mirror export.Run) export.Run {
	t.Helper()
	profile, _ := export.BuiltinProfile(kind)
	w.belongs = mirror.ID
	defer func() { w.belongs = "" }()
	run := w.run(t, profile, 0)
	require.Equal(t, mirror.AsOf, run.AsOf, "a run reads as of its mirror")
	return run
}

// place is where bundles lie, apart from the workshop that made them.
type place struct {
	*testing.T
	dir   string
	trust verify.Trust
	said  []string
}

func newPlace(t *testing.T) *place {
	dir, err := os.MkdirTemp("", "apart-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711), "PostgreSQL drops root and must get in")
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &place{T: t, dir: dir, trust: verify.Trust{bundletest.Verifier(t, twinKey(t))}}
}

// keep writes a bundle into a file.
func (p *place) keep(name string, archive []byte) string {
	p.Helper()
	path := filepath.Join(p.dir, name)
	require.NoError(p, os.WriteFile(path, archive, 0o600))
	return path
}

// opened writes what an encrypted bundle is for somebody with the key.
func (p *place) opened(name string, archive []byte, by *age.X25519Identity) string {
	p.Helper()
	var plain bytes.Buffer
	_, err := verify.Open(p.Context(), bytes.NewReader(archive), int64(len(archive)), p.trust, sealed.Keys{Identities: []*age.X25519Identity{by}}, &plain)
	require.NoError(p, err)
	return p.keep(name, plain.Bytes())
}

// again builds a mirror again, or a bundle that belongs to it, and sees that nothing of
// that is left.
func (p *place) again(from, other string) (again.Result, error) {
	p.Helper()
	p.said = nil
	workbench := filepath.Join(p.dir, "scratch")
	result, err := again.Run(p.Context(), again.Options{Mirror: from, Other: other, Trust: p.trust,
		Mirrored: verify.MirrorPolicy{At: twinTime, Clock: clock.Fixed(twinTime)}, Scratch: workbench, Adapters: allKinds(p), Parse: parseEvidence,
		Version: "twin", Workers: 2, Log: slog.New(slog.DiscardHandler), Say: func(format string, _ ...any) { p.said = append(p.said, format) }})
	left, globbed := filepath.Glob(filepath.Join(workbench, "*"))
	require.NoError(p, globbed)
	require.Empty(p, left, "nothing is left")
	return result, err
}

// identical is a rebuild that gave the same bytes.
func (p *place) identical(from, other string) again.Result {
	p.Helper()
	result, err := p.again(from, other)
	require.NoError(p, err)
	require.Equal(p, export.RebuildIdentical, result.Verdict, "%+v", result.First)
	return result
}

// TestOpenedBundlesAreBuiltAgain: what left encrypted, and was opened by a recipient, is
// built again by whoever has that; still encrypted it is refused.
func TestOpenedBundlesAreBuiltAgain(t *testing.T) {
	t.Parallel()
	alice := bundletest.Identity(t, 0)
	for mode, kinds := range map[string][]string{export.EncryptionAge: {"trivy:java-db", "json:policy"}, export.EncryptionGCM: {"trivy:db", "json:raw"}} {
		w, p := openWorkshop(t), newPlace(t)
		w.ageless = true
		w.encryption = &export.Encryption{Enabled: true, Mode: mode, RecipientKeys: []string{alice.Recipient().String()}}
		w.take(t, evidenceOfDay(t, 1))
		profile, _ := export.BuiltinProfile("mirror:full")
		full := w.run(t, profile, 0)
		archive := w.archive(t, full)
		require.NotNil(t, full.Result.Encrypted)
		_, err := p.again(p.keep("encrypted.tar", archive), "")
		require.ErrorContains(t, err, "open it first")

		from := p.opened("mirror.tar", archive, alice)
		result := p.identical(from, "")
		require.Equal(t, full.ID, result.ExportID)
		require.EqualValues(t, len(evidenceOfDay(t, 1)), result.Documents)
		for _, kind := range kinds {
			run := w.ofMirror(t, kind, full)
			encrypted := w.archive(t, run)
			_, err := p.again(from, p.keep("encrypted.tar", encrypted))
			require.ErrorContains(t, err, "open it first", kind)
			result := p.identical(from, p.opened("other.tar", encrypted, alice))
			require.Equal(t, kind, result.Profile)
			require.Equal(t, run.ID, result.ExportID)
		}
	}
}

// TestWhatDeltasLedToIsBuiltAgain: a site that has one mirror and deltas builds the last
// mirror again out of its directory, and bundles that belong to it. A delta itself is not
// built again. Documents that were removed are not in the mirror, and not in what is built.
func TestWhatDeltasLedToIsBuiltAgain(t *testing.T) {
	t.Parallel()
	w, p := openWorkshop(t), newPlace(t)
	w.ageless = true
	w.take(t, evidenceOfDay(t, 1))
	first, full := w.mirror(t)
	w.take(t, evidenceOfDay(t, 2))
	var gone []ledger.Removal
	for _, o := range evidenceOfDay(t, 1)[:40] {
		gone = append(gone, ledger.Removal{Identity: o.Identity(), Reason: "withdrawn"})
	}
	counts, err := w.book.Remove(t.Context(), twinRef.Tenant, gone)
	require.NoError(t, err)
	require.EqualValues(t, len(gone), counts.Removed)
	second, next := w.mirror(t)
	_, archive := w.delta(t, first, second)
	delta, site := p.keep("delta.tar", archive), filepath.Join(p.dir, "site")
	raw := w.ofMirror(t, "json:raw", second)
	// One of them comes back; neither mirror knows.
	w.take(t, evidenceOfDay(t, 3))

	trust := mirror.Options{Trust: p.trust}
	from := p.keep("full.tar", full)
	_, err = mirror.Init(t.Context(), site, from, trust)
	require.NoError(t, err)
	for _, arguments := range [][2]string{{delta, ""}, {from, delta}} {
		_, err = p.again(arguments[0], arguments[1])
		var refused *again.Refused
		require.ErrorAs(t, err, &refused)
	}
	require.Equal(t, first.ID, p.identical(site, "").ExportID)
	_, err = mirror.Apply(t.Context(), site, []string{delta}, trust)
	require.NoError(t, err)

	there, all := p.identical(site, ""), p.identical(p.keep("next.tar", next), "")
	require.Equal(t, second.ID, there.ExportID)
	require.Equal(t, all, there, "the directory is the mirror that the producer has")
	require.Less(t, there.Documents, int64(len(evidenceOfDay(t, 1))+len(evidenceOfDay(t, 2))-len(gone)))
	of := p.keep("raw.tar", w.archive(t, raw))
	require.Equal(t, raw.ID, p.identical(site, of).ExportID)
	_, err = p.again(from, of)
	require.ErrorContains(t, err, "does not name this mirror")

	// A byte of a document in the directory, and nothing is built.
	found, err := filepath.Glob(filepath.Join(site, "current", "tree", "data", "original", "advisory", "*"))
	require.NoError(t, err)
	text, err := os.ReadFile(found[0])
	require.NoError(t, err)
	text[len(text)/2] ^= 1
	require.NoError(t, os.WriteFile(found[0], text, 0o600))
	_, err = p.again(site, "")
	var verdict *verify.Error
	require.ErrorAs(t, err, &verdict)
	require.Equal(t, 2, verdict.ExitCode())
	require.NotContains(t, strings.Join(p.said, " "), "importing")
	// One that another compressor packed has no archive to build again.
	note := filepath.Join(site, "current", "state.json")
	noted, err := os.ReadFile(note)
	require.NoError(t, err)
	state, err := mirror.ParseState(noted)
	require.NoError(t, err)
	state.ArchiveDigest, state.Repacked = "", 3
	encoded, err := state.Encode()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(note, encoded, 0o600))
	_, err = p.again(site, "")
	require.ErrorContains(t, err, "3 files that another version of stella packed")
	require.NoError(t, os.RemoveAll(filepath.Join(site, "current")))
	_, err = p.again(site, "")
	require.ErrorContains(t, err, "holds no mirror")
}

// TestLargeOriginalsAreBuiltAgain: documents of more than a shard's size, of more than a
// batch of the import, and one of the largest there may be.
func TestLargeOriginalsAreBuiltAgain(t *testing.T) {
	t.Parallel()
	w, p := openWorkshop(t), newPlace(t)
	w.ageless = true
	for n, size := range []int{1<<20 + 1, 9 << 20, 3 << 20} {
		text := `{"id":"OSV-LARGE-` + string(rune('a'+n)) + `","modified":"2026-01-01T00:00:00Z","details":"` + strings.Repeat(string(rune('a'+n)), size) + `"}`
		o, err := parseEvidence(ledger.Entry{Source: "s", Stream: "t", Bytes: []byte(text)})
		require.NoError(t, err)
		w.take(t, []ledger.Observation{o})
	}
	w.take(t, evidenceOfDay(t, 1))
	_, archive := w.mirror(t)
	require.Greater(t, len(archive), 13<<20)
	result := p.identical(p.keep("mirror.tar", archive), "")
	require.EqualValues(t, 3+len(evidenceOfDay(t, 1)), result.Documents)
	require.LessOrEqual(t, ledger.MaxDocument, bundle.MaxOriginal, "what is imported fits into a mirror")
}
