package tuf_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// world is a small mirror: two roots, of two keys, and the metadata of generation 7.
type world struct {
	online signing.Signer
	chain  tuf.Chain
	files  []tuf.File
	set    tuf.Set
}

const generation = 7

func newWorld(t testing.TB, algorithm signing.Algorithm) world {
	t.Helper()
	w := world{online: bundletest.Key(t, 1, algorithm), files: []tuf.File{
		{Path: "manifests/export.json", Digest: bundle.DigestOf([]byte("m")), Bytes: 1},
		{Path: "manifests/provenance.json", Digest: bundle.DigestOf([]byte("pp")), Bytes: 2},
		{Path: "data/raw/advisories-0000000000000000.jsonl.zst", Digest: bundle.DigestOf([]byte("aaa")), Bytes: 3},
		{Path: "indexes/originals-0000000000000000.jsonl.zst", Digest: bundle.DigestOf([]byte("oooo")), Bytes: 4, Lists: true},
	}}
	first, second := bundletest.RootKey(t, 1), bundletest.RootKey(t, 2)
	w.chain = bundletest.TUFRoot(t, nil, nil, first, w.online)
	w.chain = bundletest.TUFRoot(t, w.chain, first, second, w.online)
	w.set = bundletest.TUFSet(t, w.chain, w.online, generation, tuf.Offline, w.files)
	return w
}

// documents are pointers to every document of a set, by their names.
func documents(set *tuf.Set) map[string]*[]byte {
	set.Roots = slices.Clone(set.Roots)
	all := map[string]*[]byte{bundle.TUFRootPath: &set.Root, bundle.TUFTargetsPath: &set.Targets,
		bundle.TUFSnapshotPath: &set.Snapshot, bundle.TUFTimestampPath: &set.Timestamp}
	for i := range set.Roots {
		all[bundle.TUFRootPathOf(int64(i+1))] = &set.Roots[i]
	}
	return all
}

func TestAMirrorsMetadataHolds(t *testing.T) {
	for _, algorithm := range []signing.Algorithm{signing.ECDSAP256, signing.Ed25519} {
		w := newWorld(t, algorithm)
		v, err := tuf.Verify(w.set, generation, w.files)
		require.NoError(t, err)
		require.NoError(t, v.Expired(bundletest.TUFMoment))
		path, ends := v.Ends()
		require.Equal(t, bundle.TUFTimestampPath, path)
		require.Equal(t, bundletest.TUFMoment.AddDate(1, 0, 0), ends)
		again := newWorld(t, algorithm)
		require.Equal(t, w.set, again.set, "the same bytes every time")
	}
}

// The form is fixed: a program in another language can compare with this.
func TestTheFormOfATimestamp(t *testing.T) {
	w := newWorld(t, signing.Ed25519)
	text := string(w.set.Timestamp)
	require.True(t, strings.HasPrefix(text, `{"signatures":[{"keyid":"`), text)
	at := strings.Index(text, `"signed":`)
	require.Equal(t, `"signed":{"_type":"timestamp","expires":"2027-11-21T08:00:00Z","meta":{"snapshot.json":{"hashes":{"sha256":"`+
		bundle.DigestOf(w.set.Snapshot).Hex()+`"},"length":467,"version":7}},"spec_version":"1.0.31","version":7}}`, text[at:])
}

func TestMomentsAreToTheSecond(t *testing.T) {
	w := newWorld(t, signing.Ed25519)
	v, err := tuf.Verify(w.set, generation, w.files)
	require.NoError(t, err)
	end := bundletest.TUFMoment.AddDate(1, 0, 0)
	require.NoError(t, v.Expired(end.Add(-1)))
	require.ErrorIs(t, v.Expired(end), tuf.ErrExpired)
	require.ErrorContains(t, v.Expired(end), "since 2027-11-21T08:00:00Z")
	require.NoError(t, v.Chain.Last().Expired(bundletest.TUFEnd.Add(-1)))
	require.ErrorIs(t, v.Chain.Last().Expired(bundletest.TUFEnd), tuf.ErrExpired)
	for _, short := range []tuf.Lifetimes{{Targets: 1e9, Snapshot: 9e9, Timestamp: 9e9}, {Targets: 9e9, Snapshot: 1e9, Timestamp: 9e9}, {Targets: 9e9, Snapshot: 9e9, Timestamp: 1e9}} {
		set := bundletest.TUFSet(t, w.chain, w.online, generation, short, w.files)
		v, err := tuf.Verify(set, generation, w.files)
		require.NoError(t, err)
		require.NoError(t, v.Expired(bundletest.TUFMoment))
		require.ErrorIs(t, v.Expired(bundletest.TUFMoment.Add(1e9)), tuf.ErrExpired, "%v", short)
	}
}

func TestTheTrustedRootIsPartOfTheChain(t *testing.T) {
	w := newWorld(t, signing.Ed25519)
	for i, root := range w.chain {
		version, err := w.chain.From(root.Raw)
		require.NoError(t, err)
		require.EqualValues(t, i+1, version)
	}
	other := bundletest.TUFRoot(t, nil, nil, bundletest.RootKey(t, 3), w.online)
	_, err := w.chain.From(other[0].Raw)
	require.ErrorIs(t, err, tuf.ErrRoot)
	_, err = w.chain[:1].From(w.chain[1].Raw)
	require.ErrorIs(t, err, tuf.ErrRoot)
	require.ErrorContains(t, err, "ends with 1")
	_, err = w.chain.From([]byte("{}"))
	require.ErrorIs(t, err, tuf.ErrForm)
}

func TestWhoMaySignAMirror(t *testing.T) {
	w := newWorld(t, signing.Ed25519)
	require.NoError(t, w.chain.Last().MaySign(bundletest.TUFKey(t, w.online)))
	require.ErrorIs(t, w.chain.Last().MaySign(bundletest.TUFKey(t, bundletest.RootKey(t, 2))), tuf.ErrSignature)
	root := w.chain.Last()
	root.Roles.Snapshot.Threshold = 2
	require.ErrorContains(t, root.MaySign(bundletest.TUFKey(t, w.online)), "wants 2 signatures")
}
