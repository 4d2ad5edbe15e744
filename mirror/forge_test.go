package mirror_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/mirror"
	"github.com/stella-ops/exportcenter/mirror/mirrortest"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// rewriteState changes what a directory says of itself, and moves what is there to the
// generation that it then names.
func rewriteState(t testing.TB, dir string, change func(*mirror.State)) {
	t.Helper()
	at, err := os.Readlink(filepath.Join(dir, "current"))
	require.NoError(t, err)
	file := filepath.Join(dir, at, "state.json")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	state, err := mirror.ParseState(text)
	require.NoError(t, err)
	change(&state)
	text, err = state.Encode()
	require.NoError(t, err)
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.WriteFile(file, text, 0o644))
	to := filepath.Join("generations", fmt.Sprintf("%012d", state.Mirror.Generation))
	if to != at {
		require.NoError(t, os.Rename(filepath.Join(dir, at), filepath.Join(dir, to)))
	}
	require.NoError(t, os.Remove(filepath.Join(dir, "current")))
	require.NoError(t, os.Symlink(to, filepath.Join(dir, "current")))
}

func refusedFor(t testing.TB, err error, reason mirror.Reason, says string) {
	t.Helper()
	var why *mirror.Error
	require.ErrorAs(t, err, &why)
	require.Equal(t, reason, why.Reason, err.Error())
	require.ErrorContains(t, err, says)
}

// state.json is nobody's word: the generation is the manifest's.
func TestAForgedGeneration(t *testing.T) {
	s := newStory(t)
	dir := s.at(t)
	rewriteState(t, dir, func(state *mirror.State) { state.Mirror.Generation = 99 })
	for _, verified := range []bool{false, true} {
		_, err := mirror.Look(t.Context(), dir, verified, trust(t))
		refusedFor(t, err, mirror.ReasonContent, "of generation 1, its state of 99")
	}
	refused(t, dir, mirror.ReasonContent, 2, "of generation 1, its state of 99", s.names["12"])
}

// Nor is what it says of deltas that were applied, with a journal that agrees.
func TestAForgedResume(t *testing.T) {
	s := newStory(t)
	digestOf := func(base, target int) (bundle.Digest, mirrortest.Mirror) {
		d := s.m.Delta(t, s.fulls[base], s.fulls[target])
		return bundle.DigestOf(d.Data(t, bundle.ManifestPath)), d
	}
	first, _ := digestOf(0, 1)
	second, _ := digestOf(1, 2)
	for name, all := range map[string][]string{"one": {s.names["12"]}, "two": {s.names["12"], s.names["23"]}} {
		dir := s.at(t)
		digests := []bundle.Digest{first, second}[:len(all)]
		rewriteState(t, dir, func(state *mirror.State) {
			for i, d := range digests {
				state.Applied = append(state.Applied, mirror.Applied{ExportID: fmt.Sprint("delta-", i), ManifestDigest: d, Generation: 1})
			}
		})
		journal, err := json.Marshal(map[string][]bundle.Digest{"deltas": digests})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "applying.json"), journal, 0o644))
		outcome, err := mirror.Apply(t.Context(), dir, all, trust(t))
		require.NoError(t, err, name)
		require.Zero(t, outcome.Before)
		require.Len(t, outcome.Done, len(all))
		requireHolds(t, dir, s.fulls[len(all)])
	}

	// Where all was applied, what is there is verified before that is said.
	dir := s.at(t, "12")
	journal, err := json.Marshal(map[string][]bundle.Digest{"deltas": {first}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "applying.json"), journal, 0o644))
	page := filepath.Join(dir, "current", "tree", bundle.ReadmePath)
	require.NoError(t, os.Remove(page))
	require.NoError(t, os.WriteFile(page, []byte("another"), 0o644))
	_, err = mirror.Apply(t.Context(), dir, []string{s.names["12"]}, trust(t))
	require.ErrorAs(t, err, new(*verify.Error))
}

// A directory that came into being, or was filled, while Init verified is not Init's.
func TestAnInitLeavesWhatIsNotItsOwn(t *testing.T) {
	s := newStory(t)
	full := written(t, "full", s.fulls[0])
	for _, when := range []string{"verifying ", "unpacking "} {
		dir := filepath.Join(t.TempDir(), "site")
		precious := filepath.Join(dir, "precious")
		o := trust(t).Disturbed(func(effect string) error {
			if effect == "settle" {
				return errKilled
			}
			return nil
		})
		o.Say = func(format string, _ ...any) {
			if strings.HasPrefix(format, when) {
				require.NoError(t, os.MkdirAll(dir, 0o755))
				require.NoError(t, os.WriteFile(precious, []byte("work of years"), 0o644))
			}
		}
		_, err := mirror.Init(t.Context(), dir, full, o)
		require.Error(t, err)
		require.FileExists(t, precious)
	}
	// What it made itself goes, with its lock.
	dir := filepath.Join(t.TempDir(), "site")
	_, err := mirror.Init(t.Context(), dir, full, trust(t).Disturbed(func(effect string) error {
		if effect == "settle" {
			return errKilled
		}
		return nil
	}))
	require.ErrorIs(t, err, errKilled)
	require.NoDirExists(t, dir)
}

// A lock whose file is gone keeps nobody out, and is not taken for one.
func TestALockThatWasRemoved(t *testing.T) {
	s := newStory(t)
	dir := s.at(t)
	// While the command waits at its lock, whoever had it removes the file.
	kept, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer kept.Close()
	require.NoError(t, mirror.EnterWhile(dir, func() { require.NoError(t, os.Remove(filepath.Join(dir, "lock"))) }, func() {
		_, err := mirror.Apply(t.Context(), dir, []string{s.names["12"]}, trust(t))
		refusedFor(t, err, mirror.ReasonBusy, "another command is at work")
	}))
}

// What is there is regular files: what a link leads to changes with nobody looking.
func TestLinksAreNoFiles(t *testing.T) {
	s := newStory(t)
	outside := t.TempDir()
	for _, prefix := range []string{"data/original/", "data/raw/", bundle.ReadmePath, bundle.ManifestPath} {
		dir := s.at(t)
		for path, content := range filesOf(t, filepath.Join(dir, "current", "tree")) {
			if !strings.HasPrefix(path, prefix) {
				continue
			}
			at, elsewhere := filepath.Join(dir, "current", "tree", path), filepath.Join(outside, filepath.Base(path))
			require.NoError(t, os.WriteFile(elsewhere, []byte(content), 0o644))
			require.NoError(t, os.Remove(at))
			require.NoError(t, os.Symlink(elsewhere, at))
		}
		_, err := mirror.Look(t.Context(), dir, true, trust(t))
		require.ErrorContains(t, err, "no regular file", prefix)
		before := everything(t, dir)
		_, err = mirror.Apply(t.Context(), dir, []string{s.names["12"]}, trust(t))
		require.ErrorContains(t, err, "no regular file", prefix)
		require.Equal(t, before, everything(t, dir))
	}
	for _, name := range []string{"tree", "tree/data", "tree/data/original", ""} {
		dir := s.at(t)
		at, elsewhere := filepath.Join(dir, "generations", fmt.Sprintf("%012d", 1), filepath.FromSlash(name)), filepath.Join(t.TempDir(), "moved")
		require.NoError(t, os.Rename(at, elsewhere))
		require.NoError(t, os.Symlink(elsewhere, at))
		_, err := mirror.Look(t.Context(), dir, true, trust(t))
		require.Error(t, err, name)
		_, err = mirror.Apply(t.Context(), dir, []string{s.names["12"]}, trust(t))
		require.Error(t, err, name)
	}
}

// timed makes mirrors whose TUF metadata ends, under a chain of roots.
func timed(m mirrortest.Maker, chain tuf.Chain, life time.Duration) mirrortest.Maker {
	m.Change = func(o *bundletest.Options) {
		if o.Variant != "full" {
			return
		}
		o.TUF = func(b bundle.Manifest, files []tuf.File) tuf.Set {
			return bundletest.TUFSet(m.T, chain, o.Signer, b.Mirror.Generation, tuf.Lifetimes{Targets: life, Snapshot: life, Timestamp: life}, files)
		}
	}
	return m
}

func story3(t testing.TB, makers [3]mirrortest.Maker) (fulls []mirrortest.Mirror, deltas []string) {
	t.Helper()
	for i, m := range makers {
		fulls = append(fulls, m.Full(t, int64(i+1), mirrortest.Document{Kind: "vex", ID: "a", Original: fmt.Sprint(i)}))
		if i > 0 {
			deltas = append(deltas, written(t, fmt.Sprint(i), m.Delta(t, fulls[i-1], fulls[i])))
		}
	}
	return fulls, deltas
}

// A mirror that is only passed may have expired; the one that a command ends at not.
func TestAnExpiredMirrorOnTheWay(t *testing.T) {
	m := mirrortest.Maker{Signer: bundletest.Key(t, 1), T: t}
	chain := bundletest.TUFRootLasting(t, nil, nil, bundletest.RootKey(t, 1), m.Signer)
	const week, years = 7 * 24 * time.Hour, 50 * 365 * 24 * time.Hour
	fulls, deltas := story3(t, [3]mirrortest.Maker{timed(m, chain, years), timed(m, chain, week), timed(m, chain, years)})
	o := trust(t)
	o.Mirror.At = bundletest.TUFMoment.Add(2 * week)
	dir := filepath.Join(t.TempDir(), "site")
	_, err := mirror.Init(t.Context(), dir, written(t, "full", fulls[0]), o)
	require.NoError(t, err)
	_, err = mirror.Apply(t.Context(), dir, deltas[:1], o)
	var failure *verify.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, verify.ReasonExpired, failure.Reason)
	requireHolds(t, dir, fulls[0])
	_, err = mirror.Apply(t.Context(), dir, deltas, o)
	require.NoError(t, err)
	requireHolds(t, dir, fulls[2])
}

// A root that took a key away counts: no delta by that key leads on, though the site
// still has the key.
func TestARootIsNotLeftOut(t *testing.T) {
	online, stolen := bundletest.Key(t, 1), bundletest.Key(t, 2)
	root := bundletest.RootKey(t, 1)
	long := 50 * 365 * 24 * time.Hour
	first := bundletest.TUFRootLasting(t, nil, nil, root, stolen)
	second := bundletest.TUFRootLasting(t, first, root, root, online)
	forked := bundletest.TUFRootLasting(t, first, root, bundletest.RootKey(t, 2), online)
	by := func(signer signing.Signer, chain tuf.Chain) mirrortest.Maker {
		return timed(mirrortest.Maker{Signer: signer, T: t}, chain, long)
	}
	o := mirror.Options{Trust: verify.Trust{bundletest.Verifier(t, online), bundletest.Verifier(t, stolen)}}
	for says, last := range map[string]mirrortest.Maker{
		"":                        by(online, second),
		"without TUF root 2":      by(stolen, first),
		"with another TUF root 2": by(online, forked),
	} {
		fulls, deltas := story3(t, [3]mirrortest.Maker{by(stolen, first), by(online, second), last})
		dir := filepath.Join(t.TempDir(), "site")
		_, err := mirror.Init(t.Context(), dir, written(t, "full", fulls[0]), o)
		require.NoError(t, err)
		_, err = mirror.Apply(t.Context(), dir, deltas[:1], o)
		require.NoError(t, err, "a new root follows")
		_, err = mirror.Apply(t.Context(), dir, deltas[1:], o)
		if says == "" {
			require.NoError(t, err)
			requireHolds(t, dir, fulls[2])
			continue
		}
		refusedFor(t, err, mirror.ReasonRoots, says)
		requireHolds(t, dir, fulls[1])
	}
}

// What a delta says of its target must be what the target says of itself.
func TestADeltaOfAnotherTargetThanItSays(t *testing.T) {
	s := newStory(t)
	dir := s.at(t)
	for _, change := range []func(*bundle.DeltaEnd){
		func(e *bundle.DeltaEnd) { e.Generation = 7 },
		func(e *bundle.DeltaEnd) { e.ExportID = "full-000007" },
	} {
		target := s.fulls[1]
		change(&target.End)
		refused(t, dir, mirror.ReasonContent, 2, "the target's manifest is of full-000002, generation 2", written(t, "wrong", s.m.Delta(t, s.fulls[0], target)))
	}
}

// An encrypted bundle is opened first.
func TestAnEncryptedBundle(t *testing.T) {
	s := newStory(t)
	_, encrypted := bundletest.BuildEncrypted(t, bundletest.Options{Signer: s.m.Signer}, bundletest.Encrypting{Mode: bundle.EncryptionAge})
	name := filepath.Join(t.TempDir(), "encrypted.tar")
	require.NoError(t, os.WriteFile(name, encrypted.Bytes(t), 0o600))
	refused(t, s.at(t), mirror.ReasonEncrypted, 4, "open it first: stella export open", name)
	dir := filepath.Join(t.TempDir(), "site")
	// At once: not even by whom it is signed is asked.
	_, err := mirror.Init(t.Context(), dir, name, mirror.Options{Trust: verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 3))}})
	refusedFor(t, err, mirror.ReasonEncrypted, "open it first: stella export open")
	require.NoDirExists(t, dir)
}
