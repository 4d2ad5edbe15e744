package tuf_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// attack is what somebody between a mirror and its site may do without a key, or
// with one that he should not have.
type attack struct {
	name string
	do   func(t *testing.T, w world) tuf.Set
	want error
	// peerToo is whether go-tuf notices at a first visit.
	peerToo bool
}

var attacks = []attack{
	{"targets of another generation", func(t *testing.T, w world) tuf.Set {
		old := bundletest.TUFSet(t, w.chain, w.online, generation-1, tuf.Offline, w.files[:3])
		w.set.Targets = old.Targets
		return w.set
	}, tuf.ErrMismatch, true},
	{"snapshot of another generation", func(t *testing.T, w world) tuf.Set {
		old := bundletest.TUFSet(t, w.chain, w.online, generation-1, tuf.Offline, w.files)
		w.set.Snapshot = old.Snapshot
		return w.set
	}, tuf.ErrMismatch, true},
	{"timestamp of another generation", func(t *testing.T, w world) tuf.Set {
		old := bundletest.TUFSet(t, w.chain, w.online, generation-1, tuf.Offline, w.files)
		w.set.Timestamp = old.Timestamp
		return w.set
	}, tuf.ErrMismatch, true},
	{"all of an older generation", func(t *testing.T, w world) tuf.Set {
		return bundletest.TUFSet(t, w.chain, w.online, generation-1, tuf.Offline, w.files)
	}, tuf.ErrVersion, false},
	{"the chain without its first root", func(_ *testing.T, w world) tuf.Set {
		w.set.Roots = w.set.Roots[1:]
		return w.set
	}, tuf.ErrVersion, false},
	{"the chain without its last root", func(_ *testing.T, w world) tuf.Set {
		w.set.Roots = w.set.Roots[:1]
		return w.set
	}, tuf.ErrMismatch, false},
	{"no root", func(_ *testing.T, w world) tuf.Set {
		w.set.Roots = nil
		return w.set
	}, tuf.ErrForm, false},
	{"a root twice", func(_ *testing.T, w world) tuf.Set {
		w.set.Roots = append(w.set.Roots[:2:2], w.set.Roots[1])
		return w.set
	}, tuf.ErrVersion, true},
	{"an older root.json", func(_ *testing.T, w world) tuf.Set {
		w.set.Root = w.set.Roots[0]
		return w.set
	}, tuf.ErrMismatch, false},
	{"a second root that only its own key signed", func(t *testing.T, w world) tuf.Set {
		thief := bundletest.RootKey(t, 9)
		w.set.Roots[1] = signRoot(t, rootOf(t, 2, thief, w.online), thief)
		w.set.Root = w.set.Roots[1]
		return w.set
	}, tuf.ErrSignature, true},
	{"a second root that only the first one's key signed", func(t *testing.T, w world) tuf.Set {
		w.set.Roots[1] = signRoot(t, rootOf(t, 2, bundletest.RootKey(t, 9), w.online), bundletest.RootKey(t, 1))
		w.set.Root = w.set.Roots[1]
		return w.set
	}, tuf.ErrSignature, true},
	{"a second root by the key that signs mirrors", func(t *testing.T, w world) tuf.Set {
		w.set.Roots[1] = signRoot(t, rootOf(t, 2, bundletest.RootKey(t, 9), w.online), w.online)
		w.set.Root = w.set.Roots[1]
		return w.set
	}, tuf.ErrSignature, true},
	{"mirrors signed by a root key", func(t *testing.T, w world) tuf.Set {
		return bundletest.TUFSet(t, w.chain, bundletest.RootKey(t, 2), generation, tuf.Offline, w.files)
	}, tuf.ErrSignature, true},
	{"mirrors signed by a stranger", func(t *testing.T, w world) tuf.Set {
		return bundletest.TUFSet(t, w.chain, bundletest.Key(t, 9, signing.Ed25519), generation, tuf.Offline, w.files)
	}, tuf.ErrSignature, true},
	{"mirrors signed by a key that the new root has not", func(t *testing.T, w world) tuf.Set {
		first, second := bundletest.RootKey(t, 1), bundletest.RootKey(t, 2)
		chain := bundletest.TUFRoot(t, nil, nil, first, w.online)
		chain = bundletest.TUFRoot(t, chain, first, second, bundletest.Key(t, 5, signing.Ed25519))
		return bundletest.TUFSet(t, chain, w.online, generation, tuf.Offline, w.files)
	}, tuf.ErrSignature, true},
	{"a target less", func(t *testing.T, w world) tuf.Set {
		return bundletest.TUFSet(t, w.chain, w.online, generation, tuf.Offline, w.files[1:])
	}, tuf.ErrMismatch, false},
	{"a target more", func(t *testing.T, w world) tuf.Set {
		more := append(w.files[:4:4], tuf.File{Path: "data/raw/x", Digest: bundle.DigestOf(nil), Bytes: 1})
		return bundletest.TUFSet(t, w.chain, w.online, generation, tuf.Offline, more)
	}, tuf.ErrMismatch, false},
	{"a target of other content", func(t *testing.T, w world) tuf.Set {
		return bundletest.TUFSet(t, w.chain, w.online, generation, tuf.Offline, changed(w.files, func(f *tuf.File) { f.Digest[0]++ }))
	}, tuf.ErrMismatch, false},
	{"a target of other length", func(t *testing.T, w world) tuf.Set {
		return bundletest.TUFSet(t, w.chain, w.online, generation, tuf.Offline, changed(w.files, func(f *tuf.File) { f.Bytes++ }))
	}, tuf.ErrMismatch, false},
	{"a list of originals that says it is none", func(t *testing.T, w world) tuf.Set {
		return bundletest.TUFSet(t, w.chain, w.online, generation, tuf.Offline, changed(w.files, func(f *tuf.File) { f.Lists = !f.Lists }))
	}, tuf.ErrMismatch, false},
}

func changed(files []tuf.File, do func(*tuf.File)) []tuf.File {
	files = append([]tuf.File{}, files...)
	do(&files[3])
	return files
}

func rootOf(t testing.TB, version int64, root, online signing.Signer) tuf.Root {
	t.Helper()
	made, err := tuf.NewRoot(version, bundle.Stamp(bundletest.TUFEnd), []tuf.Key{bundletest.TUFKey(t, root)}, []tuf.Key{bundletest.TUFKey(t, online)})
	require.NoError(t, err)
	return made
}

func signRoot(t testing.TB, root tuf.Root, signers ...signing.Signer) []byte {
	t.Helper()
	signed, err := tuf.Sign(t.Context(), root, signers...)
	require.NoError(t, err)
	return signed.Raw
}

func TestAttacksAreRefused(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			w := newWorld(t, signing.Ed25519)
			first := w.set.Roots[0]
			set := a.do(t, w)
			_, err := tuf.Verify(set, generation, w.files)
			require.ErrorIs(t, err, a.want)
			if a.peerToo {
				require.Error(t, peer(first, set, bundletest.TUFMoment), "go-tuf")
			}
		})
	}
}

// What a document says of itself is refused with it, whoever signed.
func TestExpiredMetadata(t *testing.T) {
	w := newWorld(t, signing.Ed25519)
	late := bundletest.TUFMoment.Add(8 * 24 * time.Hour)
	set := bundletest.TUFSet(t, w.chain, w.online, generation, tuf.Online, w.files)
	v, err := tuf.Verify(set, generation, w.files)
	require.NoError(t, err)
	require.NoError(t, v.Expired(bundletest.TUFMoment))
	require.ErrorIs(t, v.Expired(late), tuf.ErrExpired)
	require.NoError(t, peer(set.Roots[0], set, bundletest.TUFMoment))
	require.Error(t, peer(set.Roots[0], set, late))
}

// readAlone reads a document by itself: Verify reads it so too, and more.
func readAlone(name string, raw []byte) (err error) {
	switch name {
	case bundle.TUFTargetsPath:
		_, err = tuf.Parse[tuf.Targets](raw)
	case bundle.TUFSnapshotPath:
		_, err = tuf.Parse[tuf.Snapshot](raw)
	case bundle.TUFTimestampPath:
		_, err = tuf.Parse[tuf.Timestamp](raw)
	default:
		_, err = tuf.Parse[tuf.Root](raw)
	}
	return err
}

// No single bit of the metadata is free, with or without the archive around it.
func TestNoBitIsFree(t *testing.T) {
	w := newWorld(t, signing.ECDSAP256)
	for name := range documents(&w.set) {
		t.Run(name, func(t *testing.T) {
			set := w.set
			document := documents(&set)[name]
			original := *document
			flips, read := 0, 0
			for at := range original {
				for bit := range 8 {
					flipped := append([]byte{}, original...)
					flipped[at] ^= 1 << bit
					flips++
					if alone := readAlone(name, flipped); alone != nil && flips%512 > 0 {
						continue // most are refused without a look at the rest
					} else if alone == nil {
						read++
					}
					*document = flipped
					if _, err := tuf.Verify(set, generation, w.files); err == nil {
						t.Fatalf("bit %d of byte %d", bit, at)
					}
				}
			}
			t.Logf("%d flips, of which %d are documents", flips, read)
		})
	}
}
