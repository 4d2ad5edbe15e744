package keyfile_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/keyfile"
)

var algorithms = []signing.Algorithm{signing.ECDSAP256, signing.Ed25519}

func generate(t testing.TB, alg signing.Algorithm) crypto.Signer {
	t.Helper()
	key, err := keyfile.Generate(alg, rand.Reader)
	require.NoError(t, err)
	return key
}

func TestWhatIsWrittenLoads(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "export.key")
			key := generate(t, alg)
			want, err := signing.NewSigner(key)
			require.NoError(t, err)
			require.NoError(t, keyfile.Write(path, key, []byte("correct horse")))

			got, err := keyfile.Load(path, []byte("correct horse"))
			require.NoError(t, err)
			require.Equal(t, alg, got.Algorithm())
			require.Equal(t, want.KeyID(), got.KeyID())
			a, err := want.Sign(context.Background(), []byte("x"))
			require.NoError(t, err)
			b, err := got.Sign(context.Background(), []byte("x"))
			require.NoError(t, err)
			require.Equal(t, a, b)

			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
			_, err = keyfile.Load(path, []byte("wrong horse"))
			require.ErrorIs(t, err, keyfile.ErrPassword)
			require.ErrorContains(t, err, path)
		})
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "export.key")
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	require.ErrorIs(t, keyfile.Write(path, generate(t, signing.Ed25519), nil), fs.ErrExist)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "precious", string(text))

	dangling := filepath.Join(dir, "dangling.key")
	require.NoError(t, os.Symlink(filepath.Join(dir, "elsewhere"), dangling))
	require.ErrorIs(t, keyfile.Write(dangling, generate(t, signing.Ed25519), nil), fs.ErrExist)

	signer, err := signing.NewSigner(generate(t, signing.Ed25519))
	require.NoError(t, err)
	pub := filepath.Join(dir, "export.pub")
	require.NoError(t, keyfile.WritePublic(pub, signer))
	require.NoError(t, keyfile.WritePublic(pub, signer), "the same key again is fine")
	other, err := signing.NewSigner(generate(t, signing.Ed25519))
	require.NoError(t, err)
	require.ErrorIs(t, keyfile.WritePublic(pub, other), fs.ErrExist)
	text, err = os.ReadFile(pub)
	require.NoError(t, err)
	require.Equal(t, signer.PublicKeyPEM(), text)

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3, "no temporary file is left behind")
}

func TestUnreadableFolderLeavesNothing(t *testing.T) {
	err := keyfile.Write(filepath.Join(t.TempDir(), "missing", "export.key"), generate(t, signing.Ed25519), nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestOpenPermissionsAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "export.key")
	require.NoError(t, keyfile.Write(path, generate(t, signing.Ed25519), nil))
	for mode, fine := range map[fs.FileMode]bool{
		0o600: true, 0o400: true, 0o440: true,
		0o644: false, 0o604: false, 0o660: false, 0o602: false, 0o777: false,
	} {
		require.NoError(t, os.Chmod(path, mode))
		_, err := keyfile.Load(path, nil)
		if fine {
			require.NoError(t, err, "%04o", mode)
			continue
		}
		require.ErrorIs(t, err, keyfile.ErrPermissions, "%04o", mode)
		require.ErrorContains(t, err, "chmod 600")
	}
}

func TestOtherFilesAreNamedForWhatTheyAre(t *testing.T) {
	key := generate(t, signing.ECDSAP256)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	good, err := encrypted.Encrypt(pkcs8, nil)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	block := func(kind string, body []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: body})
	}
	sealed := "ENCRYPTED SIGSTORE PRIVATE KEY"
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"empty":         {nil, "no PEM block"},
		"no PEM":        {[]byte("hello"), "no PEM block"},
		"public key":    {block("PUBLIC KEY", pub), "public half"},
		"plain PKCS 8":  {block("PRIVATE KEY", pkcs8), "import-key-pair"},
		"certificate":   {block("CERTIFICATE", pub), "PEM type"},
		"not sealed":    {block(sealed, pkcs8), "no sealed box"},
		"two blocks":    {append(block(sealed, good), block(sealed, good)...), "nothing else"},
		"headers":       {pem.EncodeToMemory(&pem.Block{Type: sealed, Headers: map[string]string{"A": "b"}, Bytes: good}), "nothing else"},
		"too large":     {bytes.Repeat([]byte{'x'}, 17<<10), "more than"},
		"P-384":         {block(sealed, sealBox(t, p384)), "P-256"},
		"RSA":           {block(sealed, sealBox(t, rsaKey)), "ECDSA P-256"},
		"sealed rubish": {block(sealed, sealRaw(t, []byte("rubbish"))), "not an encrypted private key"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k")
			require.NoError(t, os.WriteFile(path, c.text, 0o600))
			_, err := keyfile.Load(path, nil)
			require.ErrorIs(t, err, keyfile.ErrFormat)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err = keyfile.Load(filepath.Join(t.TempDir(), "absent"), nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	dir := filepath.Join(t.TempDir(), "d")
	require.NoError(t, os.Mkdir(dir, 0o700))
	_, err = keyfile.Load(dir, nil)
	require.ErrorIs(t, err, keyfile.ErrFormat)
	require.ErrorContains(t, keyfile.Write(filepath.Join(t.TempDir(), "k"), p384, nil), "P-256")
}

func sealBox(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return sealRaw(t, der)
}

func sealRaw(t testing.TB, content []byte) []byte {
	t.Helper()
	box, err := encrypted.Encrypt(content, nil)
	require.NoError(t, err)
	return box
}

func TestGenerateTakesItsChanceAsAnArgument(t *testing.T) {
	seed := bytes.Repeat([]byte{7}, 32)
	outside := bytes.Repeat([]byte{0xff}, 32) // above the group order: drawn again
	for _, alg := range algorithms {
		a, err := keyfile.Generate(alg, bytes.NewReader(seed))
		require.NoError(t, err)
		b, err := keyfile.Generate(alg, bytes.NewReader(seed))
		require.NoError(t, err)
		require.Equal(t, a, b)
		_, err = keyfile.Generate(alg, strings.NewReader("short"))
		require.Error(t, err)
	}
	a, err := keyfile.Generate(signing.ECDSAP256, bytes.NewReader(append(outside, seed...)))
	require.NoError(t, err)
	b, err := keyfile.Generate(signing.ECDSAP256, bytes.NewReader(seed))
	require.NoError(t, err)
	require.Equal(t, b, a)
	_, err = keyfile.Generate(signing.ECDSAP256, bytes.NewReader(make([]byte, 32*20)))
	require.ErrorContains(t, err, "random source")
	_, err = keyfile.Generate("rsa", rand.Reader)
	require.ErrorContains(t, err, "unknown")
}

// Real cosign opens our file, and we open a pair that real cosign made.
func TestCosignReadsOurKeysAndWeItsKeys(t *testing.T) {
	cosign := testkit.Tool(t, "cosign")
	run := func(dir, password string, args ...string) []byte {
		t.Helper()
		cmd := exec.Command(cosign, args...)
		cmd.Dir = dir
		cmd.Env = []string{"COSIGN_PASSWORD=" + password, "HOME=" + dir, "HTTPS_PROXY=http://127.0.0.1:1"}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, stderr.String())
		return out
	}
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			dir := t.TempDir()
			key := generate(t, alg)
			require.NoError(t, keyfile.Write(filepath.Join(dir, "export.key"), key, []byte("secret")))
			signer, err := signing.NewSigner(key)
			require.NoError(t, err)
			require.Equal(t, string(signer.PublicKeyPEM()), string(run(dir, "secret", "public-key", "--key", "export.key")))
		})
	}
	t.Run("cosign generate-key-pair", func(t *testing.T) {
		dir := t.TempDir()
		run(dir, "theirs", "generate-key-pair")
		signer, err := keyfile.Load(filepath.Join(dir, "cosign.key"), []byte("theirs"))
		require.NoError(t, err)
		pub, err := os.ReadFile(filepath.Join(dir, "cosign.pub"))
		require.NoError(t, err)
		require.Equal(t, string(pub), string(signer.PublicKeyPEM()))
	})
}
