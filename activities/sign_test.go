package activities

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing"
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
