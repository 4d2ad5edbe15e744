package activities

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// keyNamed is a signer of which only the key's name is asked.
type keyNamed struct {
	signing.Signer
	id string
}

func (k keyNamed) KeyID() string { return k.id }

// A verifier takes only signatures of keys that the manifest names; a bundle
// with others must not be made.
func TestOnlyKeysOfTheManifestSign(t *testing.T) {
	s := &sealing{Export: &Export{Signer: keyNamed{id: "new"}}}
	s.parsed.Keys = []bundle.Key{{KeyID: "old"}}
	err := s.named()
	require.Equal(t, export.CodeSigning, export.CodeOf(err))
	require.True(t, export.ClassOf(err).Retryable(), "a worker that has the key may take it")
	s.parsed.Keys = append(s.parsed.Keys, bundle.Key{KeyID: "new"})
	require.NoError(t, s.named())
}

// vault signs differently each time, and counts.
type vault struct {
	keyNamed
	signed int
	fail   error
}

func (v *vault) Algorithm() signing.Algorithm { return signing.ECDSAP256 }

func (v *vault) Sign(_ context.Context, message []byte) ([]byte, error) {
	v.signed++
	return fmt.Appendf(nil, "%d of %s", v.signed, message), v.fail
}

// drawer keeps signatures as the database does.
type drawer struct {
	storage.Execution
	all  []storage.StoredSignature
	fail error
}

func (d *drawer) FindSignature(_ context.Context, _ storage.Claim, artifact, keyID string, message bundle.Digest) (*storage.StoredSignature, error) {
	for i := range d.all {
		if k := d.all[i]; k.Artifact == artifact && k.KeyID == keyID && k.Message == message {
			return &k, d.fail
		}
	}
	return nil, d.fail
}

func (d *drawer) KeepSignature(_ context.Context, _ storage.Claim, s storage.StoredSignature) (storage.StoredSignature, error) {
	d.all = append(d.all, s)
	return s, nil
}

// A retry does not ask the key service for what it has signed.
func TestTheKeyServiceIsAskedOnce(t *testing.T) {
	keys, kept := &vault{keyNamed: keyNamed{id: "k"}}, &drawer{}
	s := &sealing{Export: &Export{Signer: keys, Execution: kept}}
	sign := func(artifact, message string) string {
		t.Helper()
		sig, err := s.signOnce(t.Context(), artifact, []byte(message), nil)
		require.NoError(t, err)
		return string(sig)
	}
	first := sign("seal", "m")
	require.Equal(t, "1 of m", first)
	keys.fail = errors.New("the key service is away")
	require.Equal(t, first, sign("seal", "m"), "what is stored needs no key service")
	require.Equal(t, 1, keys.signed)
	_, err := s.signOnce(t.Context(), "seal", []byte("other bytes"), nil)
	require.Equal(t, export.CodeSigning, export.CodeOf(err))
	require.Len(t, kept.all, 1, "what was not signed is not stored")
	keys.fail = nil
	require.Equal(t, "3 of m", sign("manifest", "m"), "each artifact has its own")
	keys.id = "another key"
	require.Equal(t, "4 of m", sign("seal", "m"))
	kept.fail = errors.New("the database is away")
	_, err = s.signOnce(t.Context(), "seal", []byte("m"), nil)
	require.ErrorIs(t, err, kept.fail)
	require.Equal(t, 4, keys.signed, "nothing is signed that may be stored")
}
