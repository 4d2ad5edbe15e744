package sigstore_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"testing"

	sig "github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/sigstore"
)

// The library's own ECDSA signer is random and gives high s every other time.
func TestFromSigstoreBringsEverySignatureToLowS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	theirs, err := sig.LoadECDSASignerVerifier(key, crypto.SHA256)
	require.NoError(t, err)
	ours, err := sigstore.FromSigstore(context.Background(), theirs)
	require.NoError(t, err)
	reference, err := signing.NewSigner(key)
	require.NoError(t, err)
	require.Equal(t, reference.KeyID(), ours.KeyID())
	require.Equal(t, reference.PublicKeyPEM(), ours.PublicKeyPEM())
	require.Equal(t, signing.ECDSAP256, ours.Algorithm())

	verifier, err := signing.ParsePublicKey(ours.PublicKeyPEM())
	require.NoError(t, err)
	refused := 0
	for i := range 200 {
		message := fmt.Appendf(nil, "message %d", i)
		raw, err := theirs.SignMessage(bytes.NewReader(message))
		require.NoError(t, err)
		if verifier.Verify(message, raw) != nil {
			refused++
		}
		s, err := ours.Sign(context.Background(), message)
		require.NoError(t, err)
		require.NoError(t, verifier.Verify(message, s))
	}
	require.NotZero(t, refused, "without the adapter some signatures have a high s")
}

func TestFromSigstoreEd25519IsTheSameSignature(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	theirs, err := sig.LoadED25519SignerVerifier(key)
	require.NoError(t, err)
	ours, err := sigstore.FromSigstore(context.Background(), theirs)
	require.NoError(t, err)
	reference, err := signing.NewSigner(key)
	require.NoError(t, err)
	want, err := reference.Sign(context.Background(), []byte("x"))
	require.NoError(t, err)
	got, err := ours.Sign(context.Background(), []byte("x"))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// service stands for a key service that misbehaves.
type service struct {
	public crypto.PublicKey
	sign   func(context.Context) ([]byte, error)
}

func (s service) PublicKey(...sig.PublicKeyOption) (crypto.PublicKey, error) {
	if s.public == nil {
		return nil, errors.New("service is down")
	}
	return s.public, nil
}

func (s service) SignMessage(_ io.Reader, opts ...sig.SignOption) ([]byte, error) {
	ctx := context.Background()
	for _, o := range opts {
		o.ApplyContext(&ctx)
	}
	return s.sign(ctx)
}

func TestFromSigstoreTrustsNoService(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		service service
		want    error
	}{
		"another key's signature": {service{key.Public(), func(context.Context) ([]byte, error) {
			return asn1.Marshal(struct{ R, S *big.Int }{big.NewInt(1), big.NewInt(1)})
		}}, signing.ErrSignature},
		"no DER": {service{key.Public(), func(context.Context) ([]byte, error) { return make([]byte, 64), nil }}, signing.ErrEncoding},
		"cancelled": {service{key.Public(), func(ctx context.Context) ([]byte, error) {
			return nil, ctx.Err()
		}}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := sigstore.FromSigstore(context.Background(), c.service)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, err = s.Sign(ctx, []byte("x"))
			require.ErrorIs(t, err, c.want)
		})
	}
	_, err = sigstore.FromSigstore(context.Background(), service{})
	require.ErrorContains(t, err, "service is down")
	_, err = sigstore.FromSigstore(context.Background(), service{public: p384.Public()})
	require.ErrorIs(t, err, signing.ErrEncoding)
	_, err = sigstore.FromSigstore(context.Background(), nil)
	require.Error(t, err)
}

func TestToSigstoreSignsAsWeDo(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ours, err := signing.NewSigner(key)
	require.NoError(t, err)
	offered, err := sigstore.ToSigstore(ours)
	require.NoError(t, err)
	pub, err := offered.PublicKey()
	require.NoError(t, err)
	theirs, err := sig.LoadVerifier(pub, crypto.SHA256)
	require.NoError(t, err)

	message := []byte("from a stranger's code")
	got, err := offered.SignMessage(bytes.NewReader(message), options.WithRand(rand.Reader))
	require.NoError(t, err)
	want, err := ours.Sign(context.Background(), message)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NoError(t, theirs.VerifySignature(bytes.NewReader(got), bytes.NewReader(message)))

	_, err = offered.SignMessage(nil, options.WithDigest(make([]byte, 32)))
	require.ErrorContains(t, err, "not its digest")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = offered.SignMessage(bytes.NewReader(message), options.WithContext(ctx))
	require.ErrorIs(t, err, context.Canceled)
}
