package bundletest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// TUFMoment is when the mirrors of tests are asked for, TUFEnd when their roots end.
var (
	TUFMoment = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	TUFEnd    = TUFMoment.AddDate(2, 0, 0)
	// longLife is that of metadata of which no test asks when it ends.
	longLife = 50 * 365 * 24 * time.Hour
)

// RootKey is the key of the roots of tests, number n.
func RootKey(t testing.TB, n byte) signing.Signer {
	t.Helper()
	return Key(t, 100+n, signing.Ed25519)
}

// TUFKey is a signer's key as roots have it.
func TUFKey(t testing.TB, signer signing.Signer) tuf.Key {
	t.Helper()
	key, err := tuf.KeyOf(signer.PublicKeyPEM())
	require.NoError(t, err)
	return key
}

// TUFRoot makes the root that follows a chain: root signs it, and before too when
// that is not nil; online signs mirrors.
func TUFRoot(t testing.TB, chain tuf.Chain, before, root, online signing.Signer) tuf.Chain {
	t.Helper()
	return rootUntil(t, TUFEnd, chain, before, root, online)
}

func rootUntil(t testing.TB, end time.Time, chain tuf.Chain, before, root, online signing.Signer) tuf.Chain {
	t.Helper()
	made, err := tuf.NewRoot(int64(len(chain)+1), bundle.Stamp(end), []tuf.Key{TUFKey(t, root)}, []tuf.Key{TUFKey(t, online)})
	require.NoError(t, err)
	signers := []signing.Signer{root}
	if before != nil {
		signers = append(signers, before)
	}
	signed, err := tuf.Sign(context.Background(), made, signers...)
	require.NoError(t, err)
	chain, err = chain.Add(signed)
	require.NoError(t, err)
	return chain
}

// TUFRootLasting is TUFRoot for a root that no clock ends.
func TUFRootLasting(t testing.TB, chain tuf.Chain, before, root, online signing.Signer) tuf.Chain {
	t.Helper()
	return rootUntil(t, TUFMoment.Add(longLife), chain, before, root, online)
}

// TUFSet makes the metadata of a mirror.
func TUFSet(t testing.TB, chain tuf.Chain, online signing.Signer, generation int64, last tuf.Lifetimes, files []tuf.File) tuf.Set {
	t.Helper()
	ctx := context.Background()
	targets, err := tuf.Sign(ctx, tuf.NewTargets(generation, TUFMoment, last, files), online)
	require.NoError(t, err)
	snapshot, err := tuf.Sign(ctx, tuf.NewSnapshot(TUFMoment, last, targets), online)
	require.NoError(t, err)
	timestamp, err := tuf.Sign(ctx, tuf.NewTimestamp(TUFMoment, last, snapshot), online)
	require.NoError(t, err)
	set := tuf.Set{Root: chain[len(chain)-1].Raw, Targets: targets.Raw, Snapshot: snapshot.Raw, Timestamp: timestamp.Raw}
	for _, root := range chain {
		set.Roots = append(set.Roots, root.Raw)
	}
	return set
}

// TUFOf is the metadata of a mirror by online, under the first root of RootKey 1. It is
// good for longer than these tests will be.
func TUFOf(t testing.TB, online signing.Signer, m bundle.Manifest, files []tuf.File) tuf.Set {
	t.Helper()
	return TUFSet(t, tuf.Chain(RootsFor(t, online)), online, m.Mirror.Generation, tuf.Lifetimes{Targets: longLife, Snapshot: longLife, Timestamp: longLife}, files)
}

// TUFEntries are the entries of an archive that hold a set.
func TUFEntries(set tuf.Set) map[string][]byte {
	entries := map[string][]byte{}
	for path, document := range map[string][]byte{bundle.TUFRootPath: set.Root, bundle.TUFTargetsPath: set.Targets,
		bundle.TUFSnapshotPath: set.Snapshot, bundle.TUFTimestampPath: set.Timestamp} {
		if document != nil {
			entries[path] = document
		}
	}
	for i, root := range set.Roots {
		if root != nil {
			entries[bundle.TUFRootPathOf(int64(i+1))] = root
		}
	}
	return entries
}

// Roots are roots as a worker reads them.
type Roots tuf.Chain

// Chain gives them.
func (r Roots) Chain() (tuf.Chain, error) { return tuf.Chain(r), nil }

// RootsFor are the roots under which TUFOf makes metadata: one that lets online sign
// mirrors, for longer than these tests will be.
func RootsFor(t testing.TB, online signing.Signer) Roots {
	t.Helper()
	return Roots(rootUntil(t, TUFMoment.Add(longLife), nil, nil, RootKey(t, 1), online))
}

// Sort puts entries into archive order.
func (b *Bundle) Sort() {
	slices.SortFunc(b.Entries, func(x, y Entry) int {
		if bundle.PathBefore(x.Path, y.Path) {
			return -1
		}
		return 1
	})
}
