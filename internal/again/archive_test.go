package again

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// A bundle that was opened says in manifest and provenance how it was encrypted, and so
// must what is built again; still encrypted it is not read.
func TestAnOpenedBundleIsBuiltAgainWithItsTerms(t *testing.T) {
	plain, encrypted := bundletest.BuildEncrypted(t, bundletest.Options{Manifest: func(m *bundle.Manifest) { m.Encryption.Strict = true }},
		bundletest.Encrypting{Mode: bundle.EncryptionAge})
	trust := verify.Trust{bundletest.Verifier(t, plain.Signer)}
	file := filepath.Join(t.TempDir(), "bundle.tar")
	require.NoError(t, os.WriteFile(file, encrypted.Bytes(t), 0o600))
	_, err := openVerified(t.Context(), file, trust, verify.MirrorPolicy{})
	require.ErrorContains(t, err, "open it first")

	require.NoError(t, os.WriteFile(file, plain.Bytes(t), 0o600))
	a, err := openVerified(t.Context(), file, trust, verify.MirrorPolicy{})
	require.NoError(t, err)
	defer a.Close()
	run, err := a.run()
	require.NoError(t, err)
	terms := run.Encryption.Terms()
	require.NotNil(t, terms)
	require.Equal(t, *a.manifest.Encryption, bundle.EncryptionTerms{Mode: terms.Mode, Recipients: terms.RecipientKeys, Strict: terms.Strict})
}
