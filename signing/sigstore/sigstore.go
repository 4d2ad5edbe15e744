// Package sigstore joins our signers to the interfaces of sigstore/sigstore,
// both ways: FromSigstore makes a signing.Signer of any of its signers (key
// services: AWS, GCP, Azure, Vault), ToSigstore offers ours to code written
// against it.
//
// It stands apart from package signing because that library brings protobuf
// with it, which a verifier has no use for.
package sigstore

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/stella-ops/exportcenter/signing"
)

// foreign signs through a sigstore signer.
type foreign struct {
	signing.Verifier
	key signature.Signer
	pem []byte
}

// FromSigstore makes a Signer of a sigstore signer with an ECDSA P-256 or
// Ed25519 key. The public key is read once, now, so that the key id of a
// process never changes; ctx bounds that call. Signatures need not repeat:
// store the first one before you use it.
func FromSigstore(ctx context.Context, key signature.Signer) (signing.Signer, error) {
	if key == nil {
		return nil, errors.New("sigstore signer: no key")
	}
	pub, err := key.PublicKey(options.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("sigstore signer: read public key: %w", err)
	}
	verifier, err := signing.NewVerifier(pub)
	if err != nil {
		return nil, fmt.Errorf("sigstore signer: %w", err)
	}
	text, err := cryptoutils.MarshalPublicKeyToPEM(pub)
	if err != nil {
		return nil, fmt.Errorf("sigstore signer: encode public key: %w", err)
	}
	return foreign{Verifier: verifier, key: key, pem: text}, nil
}

func (f foreign) PublicKeyPEM() []byte { return bytes.Clone(f.pem) }

// Sign implements signing.Signer. What comes back is brought to low s and
// verified with the key read at the start: a service that signed with a
// rotated key, or hashed where it should not, is noticed here and not by the
// auditor.
func (f foreign) Sign(ctx context.Context, message []byte) ([]byte, error) {
	sig, err := f.key.SignMessage(bytes.NewReader(message), options.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", f.KeyID(), err)
	}
	if f.Algorithm() == signing.ECDSAP256 {
		if sig, err = signing.LowS(sig); err != nil {
			return nil, fmt.Errorf("sign with %s: %w", f.KeyID(), err)
		}
	}
	if err := f.Verify(message, sig); err != nil {
		return nil, fmt.Errorf("sign with %s: the service's signature is not by this key "+
			"(rotated since the start, or a pre-hashed scheme): %w", f.KeyID(), err)
	}
	return sig, nil
}

// offered is one of our signers behind sigstore's interface.
type offered struct {
	signer signing.Signer
	public crypto.PublicKey
}

// ToSigstore offers s as a sigstore signer. The signatures are those of s:
// deterministic and low-S for a key in a file.
func ToSigstore(s signing.Signer) (signature.Signer, error) {
	pub, err := cryptoutils.UnmarshalPEMToPublicKey(s.PublicKeyPEM())
	if err != nil {
		return nil, fmt.Errorf("offer signer %s: %w", s.KeyID(), err)
	}
	return offered{signer: s, public: pub}, nil
}

func (o offered) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return o.public, nil
}

// SignMessage implements signature.Signer. It takes a context from the options
// and refuses a digest in place of a message, which our schemes cannot sign.
func (o offered) SignMessage(message io.Reader, opts ...signature.SignOption) ([]byte, error) {
	ctx := context.Background()
	var digest []byte
	for _, opt := range opts {
		opt.ApplyContext(&ctx)
		opt.ApplyDigest(&digest)
	}
	if len(digest) != 0 {
		return nil, fmt.Errorf("sign with %s: give the message, not its digest", o.signer.KeyID())
	}
	text, err := io.ReadAll(io.LimitReader(message, signing.MaxEnvelope+1))
	if err != nil {
		return nil, fmt.Errorf("sign with %s: read message: %w", o.signer.KeyID(), err)
	}
	if len(text) > signing.MaxEnvelope {
		return nil, fmt.Errorf("sign with %s: the message has more than %d bytes", o.signer.KeyID(), signing.MaxEnvelope)
	}
	return o.signer.Sign(ctx, text)
}
