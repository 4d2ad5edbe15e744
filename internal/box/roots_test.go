package box

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/signing/keyfile"
	"github.com/stella-ops/exportcenter/tuf"
)

// The first start makes a root that lets its own signing key sign mirrors, and trusts
// it; a later start leaves both as they are.
func TestTheFirstRootOfABox(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	b, _ := quiet(t, dir, "127.0.0.1:0")
	cfg, err := config.Load(b.layout.config())
	require.NoError(t, err)
	chain, err := tuf.Folder(cfg.TUF.Roots).Chain()
	require.NoError(t, err)
	require.Len(t, chain, 1)
	password, err := os.ReadFile(b.layout.signingPassword())
	require.NoError(t, err)
	signer, err := keyfile.Load(b.layout.signingKey(), password)
	require.NoError(t, err)
	key, err := tuf.KeyOf(signer.PublicKeyPEM())
	require.NoError(t, err)
	require.NoError(t, chain.Last().MaySign(key))
	trusted, err := os.ReadFile(filepath.Join(b.layout.trust(), "tuf", "root.json"))
	require.NoError(t, err)
	require.Equal(t, chain[0].Raw, trusted)

	b.lock.clean()
	b.lock.release()
	again, _ := quiet(t, dir, "127.0.0.1:0")
	later, err := tuf.Folder(again.layout.roots()).Chain()
	require.NoError(t, err)
	require.Equal(t, chain, later)
}
