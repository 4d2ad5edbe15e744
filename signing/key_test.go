package signing_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/signing"
)

func mustDER(t testing.TB, s signing.Signer) []byte {
	t.Helper()
	block, rest := pem.Decode(s.PublicKeyPEM())
	require.NotNil(t, block)
	require.Empty(t, rest)
	return block.Bytes
}

func TestKeyIDIsTheHashOfTheKey(t *testing.T) {
	for _, s := range []signing.Signer{ecdsaSigner(t), ed25519Signer(t)} {
		sum := sha256.Sum256(mustDER(t, s))
		require.Equal(t, "sha256:"+hex.EncodeToString(sum[:]), s.KeyID())
	}
}

func TestParsePublicKey(t *testing.T) {
	good := ecdsaSigner(t).PublicKeyPEM()
	der := mustDER(t, ecdsaSigner(t))
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	block := func(kind string, body []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: body})
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, c := range map[string]struct {
		text []byte
		fine bool
	}{
		"as written":          {good, true},
		"no line end":         {bytes.TrimSpace(good), true},
		"white space around":  {join([]byte("\n \t"), good, []byte("\n\n  ")), true},
		"CR LF":               {bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), true},
		"empty":               {nil, false},
		"twice":               {join(good, good), false},
		"text before":         {join([]byte("key:\n"), good), false},
		"text after":          {join(good, []byte("x")), false},
		"headers":             {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Headers: map[string]string{"A": "b"}, Bytes: der}), false},
		"other line width":    {bytes.Replace(good, []byte("\nM"), []byte("\nM\n"), 1), false},
		"private key label":   {block("PRIVATE KEY", der), false},
		"certificate label":   {block("CERTIFICATE", der), false},
		"trailing DER":        {block("PUBLIC KEY", append(bytes.Clone(der), 0)), false},
		"no key in it":        {block("PUBLIC KEY", []byte("x")), false},
		"P-384":               {block("PUBLIC KEY", pkix(t, p384.Public())), false},
		"RSA":                 {block("PUBLIC KEY", pkix(t, rsaKey.Public())), false},
		"point off the curve": {block("PUBLIC KEY", flip(der, len(der)-1)), false},
		"too large":           {join(good, bytes.Repeat([]byte{'\n'}, signing.MaxPublicKey)), false},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := signing.ParsePublicKey(c.text)
			if c.fine {
				require.NoError(t, err)
				require.Equal(t, ecdsaSigner(t).KeyID(), v.KeyID())
				return
			}
			require.ErrorIs(t, err, signing.ErrEncoding)
		})
	}
}

func TestHalfMadeKeysDoNotPanic(t *testing.T) {
	for _, key := range []*ecdsa.PublicKey{nil, {}, {Curve: elliptic.P256()}} {
		_, err := signing.NewVerifier(key)
		require.ErrorIs(t, err, signing.ErrEncoding)
		_, err = signing.SSHFingerprint(key)
		require.ErrorIs(t, err, signing.ErrEncoding)
	}
	_, err := signing.NewSigner(&ecdsa.PrivateKey{})
	require.ErrorIs(t, err, signing.ErrEncoding)
	_, err = signing.NewSigner(&ecdsa.PrivateKey{PublicKey: ecdsa.PublicKey{Curve: elliptic.P256()}})
	require.ErrorIs(t, err, signing.ErrEncoding)
}

func pkix(t testing.TB, pub any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	require.NoError(t, err)
	return der
}

func flip(b []byte, i int) []byte {
	out := bytes.Clone(b)
	out[i] ^= 1
	return out
}
