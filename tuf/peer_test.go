package tuf_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/stretchr/testify/require"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// peer is what go-tuf says of a set, when it trusts the first root.
func peer(first []byte, set tuf.Set, at time.Time) error {
	trusted, err := trustedmetadata.New(first)
	if err != nil {
		return err
	}
	trusted.RefTime = at
	for _, root := range set.Roots[1:] {
		if _, err := trusted.UpdateRoot(root); err != nil {
			return err
		}
	}
	if _, err := trusted.UpdateTimestamp(set.Timestamp); err != nil {
		return err
	}
	if _, err := trusted.UpdateSnapshot(set.Snapshot, false); err != nil {
		return err
	}
	_, err = trusted.UpdateTargets(set.Targets)
	return err
}

func TestAPeerReadsWhatIsWritten(t *testing.T) {
	for _, algorithm := range []signing.Algorithm{signing.ECDSAP256, signing.Ed25519} {
		w := newWorld(t, algorithm)
		require.NoError(t, peer(w.set.Roots[0], w.set, bundletest.TUFMoment))
		targets, err := metadata.Targets().FromBytes(w.set.Targets)
		require.NoError(t, err)
		require.Len(t, targets.Signed.Targets, len(w.files))
		for _, f := range w.files {
			have := targets.Signed.Targets[f.Path]
			require.Equal(t, f.Bytes, have.Length)
			require.Equal(t, f.Digest[:], []byte(have.Hashes["sha256"]))
			require.Equal(t, f.Lists, have.Custom != nil)
		}
	}
}

// A key has the name that others give it, and what is signed is what they sign.
func TestAPeerNamesKeysAlike(t *testing.T) {
	for _, algorithm := range []signing.Algorithm{signing.ECDSAP256, signing.Ed25519} {
		w := newWorld(t, algorithm)
		root, err := metadata.Root().FromBytes(w.set.Root)
		require.NoError(t, err)
		for id, key := range root.Signed.Keys {
			own, err := key.ID()
			require.NoError(t, err)
			require.Equal(t, own, id)
			public, err := key.ToPublicKey()
			require.NoError(t, err)
			again, err := metadata.KeyFromPublicKey(public)
			require.NoError(t, err)
			require.Equal(t, again.Type, key.Type)
		}
		var read struct{ Signed any }
		require.NoError(t, json.Unmarshal(w.set.Root, &read))
		theirs, err := cjson.EncodeCanonical(read.Signed)
		require.NoError(t, err)
		ours, err := tuf.Message(w.chain.Last())
		require.NoError(t, err)
		require.Equal(t, string(theirs), string(ours))
	}
}
