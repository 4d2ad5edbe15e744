package verify_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// mirrorOf are the options of a small mirror with two originals, by signer.
func mirrorOf(t testing.TB, signer signing.Signer) bundletest.Options {
	t.Helper()
	var segment bytes.Buffer
	var lines []string
	w := bundle.NewEntryWriter(&segment)
	texts := map[string]string{}
	for _, text := range []string{`{"id":"GO-2026-0001"}`, `{ "id": "GO-2026-0002" }`} {
		texts[bundle.OriginalPath("advisory", bundle.DigestOf([]byte(text)))] = text
	}
	for _, path := range sortedKeys(texts) {
		require.NoError(t, w.Entry(path, int64(len(texts[path])), strings.NewReader(texts[path])))
		lines = append(lines, fmt.Sprintf(`{"bytes":%d,"path":%q}`, len(texts[path]), path))
	}
	return bundletest.Options{Signer: signer, Kind: "mirror", Variant: "full",
		Shards: append(bundletest.Small(), bundletest.Shard{Path: bundle.OriginalsIndexPath("", true), Lines: lines}),
		Files:  []bundletest.File{{Path: sortedKeys(texts)[0], Stored: segment.Bytes()}}}
}

func sortedKeys(m map[string]string) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	if len(keys) == 2 && keys[0] > keys[1] {
		keys[0], keys[1] = keys[1], keys[0]
	}
	return keys
}

// asked verifies an archive with a policy.
func asked(t testing.TB, archive []byte, signer signing.Signer, p verify.MirrorPolicy) (verify.Report, error) {
	t.Helper()
	return verify.Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)),
		verify.Trust{bundletest.Verifier(t, signer)}, verify.WithWorkers(1), verify.WithMirror(p))
}

// twoRoots are a chain in which the root key was changed.
func twoRoots(t testing.TB, online signing.Signer) tuf.Chain {
	first, second := bundletest.RootKey(t, 1), bundletest.RootKey(t, 2)
	return bundletest.TUFRoot(t, bundletest.TUFRoot(t, nil, nil, first, online), first, second, online)
}

var policyNow = verify.MirrorPolicy{Clock: clock.Fixed(bundletest.TUFMoment)}

// underRoots makes a mirror of a generation under two roots.
func underRoots(t testing.TB, signer signing.Signer, generation int64, last tuf.Lifetimes) bundletest.Options {
	o := mirrorOf(t, signer)
	o.Manifest = func(m *bundle.Manifest) { m.Mirror.Generation = generation }
	o.TUF = func(m bundle.Manifest, files []tuf.File) tuf.Set {
		return bundletest.TUFSet(t, twoRoots(t, signer), signer, m.Mirror.Generation, last, files)
	}
	return o
}

func TestAMirrorsMetadataIsVerified(t *testing.T) {
	signer := bundletest.Key(t, 1)
	archive := bundletest.Build(t, underRoots(t, signer, 7, tuf.Offline))
	chain := twoRoots(t, signer)
	report, err := asked(t, archive, signer, policyNow)
	require.NoError(t, err)
	require.Equal(t, &verify.TUF{Generation: 7, Roots: 2, FirstRoot: bundle.DigestOf(chain[0].Raw), Expires: "2027-11-21T08:00:00Z",
		Ends: bundle.TUFTimestampPath, At: "2026-11-21T08:00:00Z"}, report.TUF)
	require.EqualValues(t, 2, report.Originals)
	for i, root := range chain {
		p := policyNow
		p.Root = root.Raw
		report, err := asked(t, archive, signer, p)
		require.NoError(t, err)
		require.EqualValues(t, i+1, report.TUF.TrustedRoot)
	}
}

func TestATrustedRootFromElsewhere(t *testing.T) {
	signer := bundletest.Key(t, 1)
	archive := bundletest.Build(t, underRoots(t, signer, 7, tuf.Offline))
	third := bundletest.TUFRoot(t, twoRoots(t, signer), bundletest.RootKey(t, 2), bundletest.RootKey(t, 3), signer)
	foreign := bundletest.TUFRoot(t, nil, nil, bundletest.RootKey(t, 9), signer)
	for name, of := range map[string]struct {
		root []byte
		says string
	}{
		"another one of the same version": {foreign[0].Raw, "another one than the trusted root 1"},
		"a later one":                     {third[2].Raw, "the trusted root is version 3, this chain ends with 2"},
		"none at all":                     {[]byte("{}"), "the trusted root"},
		"an empty one":                    {[]byte{}, "the trusted root"},
	} {
		t.Run(name, func(t *testing.T) {
			p := policyNow
			p.Root = of.root
			report, err := asked(t, archive, signer, p)
			requireFailure(t, report, err, verify.ClassSignature, verify.ReasonTUFRoot)
			require.ErrorContains(t, err, of.says)
		})
	}
}

func requireFailure(t testing.TB, report verify.Report, err error, class verify.Class, reason verify.Reason) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, verify.StatusFailed, report.Status)
	require.NotNil(t, report.Failure)
	require.Equal(t, reason, report.Failure.Reason, report.Failure.Message)
	require.Equal(t, class, report.Failure.Class)
}

func TestOldMirrors(t *testing.T) {
	signer := bundletest.Key(t, 1)
	archive := bundletest.Build(t, underRoots(t, signer, 7, tuf.Online))
	late := bundletest.TUFMoment.AddDate(0, 0, 8)

	report, err := asked(t, archive, signer, verify.MirrorPolicy{Clock: clock.Fixed(late)})
	requireFailure(t, report, err, verify.ClassSignature, verify.ReasonExpired)
	require.ErrorContains(t, err, "since 2026-11-28T08:00:00Z")
	require.ErrorContains(t, err, "Get a newer mirror")
	require.Equal(t, bundle.TUFTimestampPath, report.Failure.Path)

	report, err = asked(t, archive, signer, verify.MirrorPolicy{Clock: clock.Fixed(late), At: bundletest.TUFMoment.Add(time.Hour)})
	require.NoError(t, err)
	require.True(t, report.TUF.AtNamed)
	require.Equal(t, "2026-11-21T09:00:00Z", report.TUF.At)

	for newer, good := range map[int64]bool{0: true, 6: true, 7: false, 8: false} {
		p := policyNow
		p.NewerThan = newer
		report, err := asked(t, archive, signer, p)
		if good {
			require.NoError(t, err)
			continue
		}
		requireFailure(t, report, err, verify.ClassContent, verify.ReasonRollback)
	}
}

// Who asks something that only mirrors answer gets no answer from others.
func TestOtherBundlesHaveNoGeneration(t *testing.T) {
	signer := bundletest.Key(t, 1)
	archive := bundletest.Build(t, bundletest.Options{Signer: signer})
	p := policyNow
	p.Root = twoRoots(t, signer)[0].Raw
	_, err := asked(t, archive, signer, p)
	require.NoError(t, err, "a trust directory may have a root")
	p.Only = true
	report, err := asked(t, archive, signer, p)
	requireFailure(t, report, err, verify.ClassOther, verify.ReasonNoMirror)

	set := bundletest.TUFSet(t, twoRoots(t, signer), signer, 7, tuf.Offline, []tuf.File{{Path: "data/raw/x", Bytes: 1}})
	for path, document := range bundletest.TUFEntries(set) {
		archive := bundletest.Build(t, bundletest.Options{Signer: signer, Entries: func(entries map[string][]byte) { entries[path] = document }})
		report, err := asked(t, archive, signer, policyNow)
		requireFailure(t, report, err, verify.ClassContent, verify.ReasonUnlisted)
	}
}

func TestAMirrorWithoutMetadata(t *testing.T) {
	signer := bundletest.Key(t, 1)
	good := bundletest.New(t, underRoots(t, signer, 7, tuf.Offline))
	for _, e := range good.Entries {
		if !bundle.IsTUF(e.Path) {
			continue
		}
		spoiled := good.Clone()
		spoiled.Remove(e.Path)
		spoiled.Sum(t)
		spoiled.Seal(t, signer, bundle.SealPayloadType, nil)
		report, err := asked(t, spoiled.Bytes(t), signer, policyNow)
		require.Error(t, err, e.Path)
		if e.Path == "tuf/2.root.json" { // then root.json is not the last
			requireFailure(t, report, err, verify.ClassContent, verify.ReasonTUF)
			continue
		}
		requireFailure(t, report, err, verify.ClassAbsent, verify.ReasonMissing)
		require.Equal(t, e.Path, report.Failure.Path)
	}
	for _, path := range []string{"tuf/0.root.json", "tuf/01.root.json", "tuf/257.root.json", "tuf/1.targets.json", "tuf/mirrors.json", "tuf/keys/x.pub", "tuf/root.json.bak"} {
		spoiled := good.Clone()
		spoiled.Entries = append(spoiled.Entries, bundletest.Entry{Path: path, Data: []byte("x")})
		spoiled.Sort()
		spoiled.Sum(t)
		spoiled.Seal(t, signer, bundle.SealPayloadType, nil)
		report, err := asked(t, spoiled.Bytes(t), signer, policyNow)
		requireFailure(t, report, err, verify.ClassContent, verify.ReasonUnknown)
	}
}

// An attacker who has the seal's key, and seals whatever he likes, has not the root's.
func TestMetadataUnderAGoodSeal(t *testing.T) {
	signer := bundletest.Key(t, 1)
	chain := twoRoots(t, signer)
	set := func(t *testing.T, generation int64, files []tuf.File) tuf.Set {
		return bundletest.TUFSet(t, chain, signer, generation, tuf.Offline, files)
	}
	for name, of := range map[string]struct {
		change func(t *testing.T, files []tuf.File) tuf.Set
		class  verify.Class
		reason verify.Reason
		path   string
	}{
		"all of it of an older generation": {func(t *testing.T, files []tuf.File) tuf.Set { return set(t, 6, files) },
			verify.ClassContent, verify.ReasonTUF, bundle.TUFTimestampPath},
		"targets of an older generation": {func(t *testing.T, files []tuf.File) tuf.Set {
			s := set(t, 7, files)
			s.Targets = set(t, 6, files[:1]).Targets
			return s
		}, verify.ClassContent, verify.ReasonTUF, bundle.TUFTargetsPath},
		"snapshot of an older generation": {func(t *testing.T, files []tuf.File) tuf.Set {
			s := set(t, 7, files)
			s.Snapshot = set(t, 6, files).Snapshot
			return s
		}, verify.ClassContent, verify.ReasonTUF, bundle.TUFSnapshotPath},
		"timestamp of an older generation": {func(t *testing.T, files []tuf.File) tuf.Set {
			s := set(t, 7, files)
			s.Timestamp = set(t, 6, files).Timestamp
			return s
		}, verify.ClassContent, verify.ReasonTUF, bundle.TUFSnapshotPath},
		"an older root": {func(t *testing.T, files []tuf.File) tuf.Set {
			s := set(t, 7, files)
			s.Root = s.Roots[0]
			return s
		}, verify.ClassContent, verify.ReasonTUF, bundle.TUFRootPath},
		"a file less": {func(t *testing.T, files []tuf.File) tuf.Set { return set(t, 7, files[1:]) },
			verify.ClassContent, verify.ReasonTUF, bundle.TUFTargetsPath},
		"a file more": {func(t *testing.T, files []tuf.File) tuf.Set {
			return set(t, 7, append(files, tuf.File{Path: "README.md", Digest: files[0].Digest, Bytes: 5}))
		}, verify.ClassContent, verify.ReasonTUF, bundle.TUFTargetsPath},
		"another digest": {func(t *testing.T, files []tuf.File) tuf.Set {
			files[0].Digest[5] ^= 1
			return set(t, 7, files)
		}, verify.ClassContent, verify.ReasonTUF, bundle.TUFTargetsPath},
		"a root of the thief's, signed by him and with the seal's key": {func(t *testing.T, files []tuf.File) tuf.Set {
			s, thief := set(t, 7, files), bundletest.RootKey(t, 9)
			root, err := tuf.NewRoot(2, bundle.Stamp(bundletest.TUFEnd), []tuf.Key{bundletest.TUFKey(t, thief)}, []tuf.Key{bundletest.TUFKey(t, signer)})
			require.NoError(t, err)
			document, err := tuf.Sign(t.Context(), root, thief, signer)
			require.NoError(t, err)
			s.Roots[1], s.Root = document.Raw, document.Raw
			return s
		}, verify.ClassSignature, verify.ReasonTUFSignature, bundle.TUFRootPathOf(2)},
		"mirrors by a key that the manifest does not name": {func(t *testing.T, files []tuf.File) tuf.Set {
			other := bundletest.Key(t, 8)
			return bundletest.TUFSet(t, bundletest.TUFRoot(t, nil, nil, bundletest.RootKey(t, 1), other), other, 7, tuf.Offline, files)
		}, verify.ClassSignature, verify.ReasonKeyNotListed, bundle.TUFTargetsPath},
	} {
		t.Run(name, func(t *testing.T) {
			o := underRoots(t, signer, 7, tuf.Offline)
			o.TUF = func(_ bundle.Manifest, files []tuf.File) tuf.Set { return of.change(t, files) }
			report, err := asked(t, bundletest.Build(t, o), signer, policyNow)
			requireFailure(t, report, err, of.class, of.reason)
			require.Equal(t, of.path, report.Failure.Path)
		})
	}
}

// Bits of the metadata, with checksums and seal made right again: what holds then is
// the metadata itself. (Package tuf flips every bit of it.)
func TestBitsOfMetadataUnderAGoodSeal(t *testing.T) {
	signer := bundletest.Key(t, 1)
	good := bundletest.New(t, underRoots(t, signer, 7, tuf.Offline))
	flips := 0
	for _, e := range good.Entries {
		if !bundle.IsTUF(e.Path) {
			continue
		}
		for bit := len(e.Path); bit < 8*len(e.Data); bit += 211 {
			flipped := bytes.Clone(e.Data)
			flipped[bit/8] ^= 1 << (bit % 8)
			spoiled := good.Clone()
			spoiled.Replace(t, e.Path, flipped)
			spoiled.Sum(t)
			spoiled.Seal(t, signer, bundle.SealPayloadType, nil)
			report, err := asked(t, spoiled.Bytes(t), signer, policyNow)
			require.Error(t, err, "bit %d of %s", bit, e.Path)
			require.Contains(t, []verify.Reason{verify.ReasonTUF, verify.ReasonTUFSignature}, report.Failure.Reason)
			flips++
		}
	}
	require.Greater(t, flips, 100)
	t.Logf("%d flips", flips)
}

// Who has the service's key can make mirrors, of any generation, and nobody can tell
// them from honest ones - until a root takes that key away.
func TestAStolenServiceKeyIsTakenAwayByARoot(t *testing.T) {
	stolen, fresh := bundletest.Key(t, 1), bundletest.Key(t, 2)
	forged := bundletest.Build(t, underRoots(t, stolen, 1_000_000, tuf.Offline))
	_, err := asked(t, forged, stolen, policyNow)
	require.NoError(t, err)

	third := bundletest.TUFRoot(t, twoRoots(t, stolen), bundletest.RootKey(t, 2), bundletest.RootKey(t, 2), fresh)
	p := policyNow
	p.Root = third[2].Raw
	report, err := asked(t, forged, stolen, p)
	requireFailure(t, report, err, verify.ClassSignature, verify.ReasonTUFRoot)

	// Nor does it help him to bring that root: it does not name his key.
	o := underRoots(t, stolen, 1_000_000, tuf.Offline)
	o.TUF = func(m bundle.Manifest, files []tuf.File) tuf.Set {
		return bundletest.TUFSet(t, third, stolen, m.Mirror.Generation, tuf.Offline, files)
	}
	report, err = asked(t, bundletest.Build(t, o), stolen, p)
	requireFailure(t, report, err, verify.ClassSignature, verify.ReasonTUFSignature)

	// Mirrors by the new key follow from the root that a site had from the first.
	o = underRoots(t, fresh, 8, tuf.Offline)
	o.TUF = func(m bundle.Manifest, files []tuf.File) tuf.Set {
		return bundletest.TUFSet(t, third, fresh, m.Mirror.Generation, tuf.Offline, files)
	}
	p.Root = third[0].Raw
	report, err = asked(t, bundletest.Build(t, o), fresh, p)
	require.NoError(t, err)
	require.EqualValues(t, 3, report.TUF.Roots)
	// And an honest old mirror follows from it still.
	report, err = asked(t, bundletest.Build(t, underRoots(t, stolen, 7, tuf.Offline)), stolen, p)
	require.NoError(t, err)
	require.EqualValues(t, 1, report.TUF.TrustedRoot)
}
