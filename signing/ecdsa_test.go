package signing_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/signing"
)

// rfc6979Key is the P-256 key of RFC 6979 A.2.5.
const rfc6979Key = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"

// ed25519Seed is the secret key of RFC 8032 §7.1 TEST 2.
const ed25519Seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func ecdsaKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), unhex(t, rfc6979Key))
	require.NoError(t, err)
	return key
}

func ecdsaSigner(t testing.TB) signing.Signer {
	t.Helper()
	s, err := signing.NewSigner(ecdsaKey(t))
	require.NoError(t, err)
	return s
}

func ed25519Signer(t testing.TB) signing.Signer {
	t.Helper()
	s, err := signing.NewSigner(ed25519.NewKeyFromSeed(unhex(t, ed25519Seed)))
	require.NoError(t, err)
	return s
}

func verifierOf(t testing.TB, s signing.Signer) signing.Verifier {
	t.Helper()
	v, err := signing.ParsePublicKey(s.PublicKeyPEM())
	require.NoError(t, err)
	require.Equal(t, s.KeyID(), v.KeyID())
	require.Equal(t, s.Algorithm(), v.Algorithm())
	return v
}

type pair struct{ R, S *big.Int }

func parsePair(t testing.TB, sig []byte) pair {
	t.Helper()
	var p pair
	rest, err := asn1.Unmarshal(sig, &p)
	require.NoError(t, err)
	require.Empty(t, rest)
	return p
}

func marshalPair(t testing.TB, p pair) []byte {
	t.Helper()
	sig, err := asn1.Marshal(p)
	require.NoError(t, err)
	return sig
}

// RFC 6979 A.2.5 gives r and s of "sample" and "test"; s of "sample" is high
// there, so ours is N - s.
func TestECDSAFollowsRFC6979WithLowS(t *testing.T) {
	n := elliptic.P256().Params().N
	for _, c := range []struct{ message, r, s string }{
		{"sample", "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716", "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"},
		{"test", "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367", "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"},
	} {
		t.Run(c.message, func(t *testing.T) {
			sig, err := ecdsaSigner(t).Sign(context.Background(), []byte(c.message))
			require.NoError(t, err)
			s := new(big.Int).SetBytes(unhex(t, c.s))
			if c.message == "sample" {
				s.Sub(n, s)
			}
			got := parsePair(t, sig)
			require.Equal(t, c.r, fmt.Sprintf("%064x", got.R))
			require.Equal(t, fmt.Sprintf("%064x", s), fmt.Sprintf("%064x", got.S))
		})
	}
}

func TestThousandSignaturesAreLowAndRepeat(t *testing.T) {
	signer, half := ecdsaSigner(t), new(big.Int).Rsh(elliptic.P256().Params().N, 1)
	verifier := verifierOf(t, signer)
	for i := range 1000 {
		message := fmt.Appendf(nil, "message %d", i)
		first, err := signer.Sign(context.Background(), message)
		require.NoError(t, err)
		second, err := ecdsaSigner(t).Sign(context.Background(), message)
		require.NoError(t, err)
		require.Equal(t, first, second)
		require.LessOrEqual(t, parsePair(t, first).S.Cmp(half), 0, "high s for %s", message)
		require.NoError(t, verifier.Verify(message, first))
	}
}

func TestOtherSpellingsOfASignatureAreRefused(t *testing.T) {
	n := elliptic.P256().Params().N
	signer, message := ecdsaSigner(t), []byte("sample")
	verifier := verifierOf(t, signer)
	sig, err := signer.Sign(context.Background(), message)
	require.NoError(t, err)
	good := parsePair(t, sig)

	high := marshalPair(t, pair{good.R, new(big.Int).Sub(n, good.S)})
	back, err := signing.LowS(high)
	require.NoError(t, err)
	require.Equal(t, sig, back, "LowS undoes the high form")

	for name, bad := range map[string][]byte{
		"high s":         high,
		"empty":          {},
		"trailing byte":  append(append([]byte{}, sig...), 0),
		"long length":    append([]byte{0x30, 0x81, sig[1]}, sig[2:]...),
		"padded integer": padFirstInteger(sig),
		"zero r":         marshalPair(t, pair{big.NewInt(0), good.S}),
		"zero s":         marshalPair(t, pair{good.R, big.NewInt(0)}),
		"negative s":     marshalPair(t, pair{good.R, new(big.Int).Neg(good.S)}),
		"s plus order":   marshalPair(t, pair{good.R, new(big.Int).Add(n, good.S)}),
		"r plus order":   marshalPair(t, pair{new(big.Int).Add(n, good.R), good.S}),
		"raw r and s":    append(good.R.FillBytes(make([]byte, 32)), good.S.FillBytes(make([]byte, 32))...),
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, verifier.Verify(message, bad), signing.ErrEncoding)
		})
	}
	require.ErrorIs(t, verifier.Verify([]byte("other"), sig), signing.ErrSignature)
}

// padFirstInteger puts a superfluous zero byte before r.
func padFirstInteger(sig []byte) []byte {
	out := []byte{0x30, sig[1] + 1, 0x02, sig[3] + 1, 0}
	return append(out, sig[4:]...)
}

func TestEd25519IsRFC8032(t *testing.T) {
	signer := ed25519Signer(t)
	sig, err := signer.Sign(context.Background(), []byte{0x72})
	require.NoError(t, err)
	require.Equal(t, "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"+
		"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00", hex.EncodeToString(sig))
	verifier := verifierOf(t, signer)
	require.NoError(t, verifier.Verify([]byte{0x72}, sig))
	require.ErrorIs(t, verifier.Verify([]byte{0x73}, sig), signing.ErrSignature)
	require.ErrorIs(t, verifier.Verify([]byte{0x72}, sig[:63]), signing.ErrEncoding)
	require.ErrorIs(t, verifier.Verify([]byte{0x72}, addOrder(sig)), signing.ErrSignature, "S + L is the same number")
}

// addOrder writes S as S + L, the classic malleability of Ed25519.
func addOrder(sig []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	out := append([]byte{}, sig...)
	s := out[32:]
	for i := range 16 {
		s[i], s[31-i] = s[31-i], s[i]
	}
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	for i := range sum {
		s[i] = sum[31-i]
	}
	return out
}

func TestSignStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := ecdsaSigner(t).Sign(ctx, []byte("x"))
	require.ErrorIs(t, err, context.Canceled)
}

func TestOnlyTwoKindsOfKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	_, err = signing.NewSigner(p384)
	require.ErrorContains(t, err, "on P-256")
	_, err = signing.NewVerifier(p384.Public())
	require.ErrorIs(t, err, signing.ErrEncoding)
	_, err = signing.NewSigner(nil)
	require.ErrorIs(t, err, signing.ErrEncoding)
	_, err = signing.NewVerifier("no key")
	require.ErrorIs(t, err, signing.ErrEncoding)
	_, err = signing.NewSigner((*ecdsa.PrivateKey)(nil))
	require.ErrorIs(t, err, signing.ErrEncoding)
	_, err = signing.NewSigner(ed25519.PrivateKey{1, 2})
	require.ErrorIs(t, err, signing.ErrEncoding)
}
