package signing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"fmt"
)

// keySigner signs with a private key in memory.
type keySigner struct {
	publicKey
	sign func(message []byte) ([]byte, error)
}

// NewSigner makes a Signer of an *ecdsa.PrivateKey on P-256 or an
// ed25519.PrivateKey. It is deterministic: the same message gives the same
// bytes, on every machine and after every restart, which is what makes an
// archive reproducible. Several goroutines may use it at once.
func NewSigner(key crypto.Signer) (Signer, error) {
	s := keySigner{}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		if k == nil {
			return nil, fmt.Errorf("signer: %w: no key", ErrEncoding)
		}
		s.sign = func(message []byte) ([]byte, error) { return signECDSA(k, message) }
	case ed25519.PrivateKey:
		if len(k) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("signer: %w: Ed25519 private key of %d bytes", ErrEncoding, len(k))
		}
		s.sign = func(message []byte) ([]byte, error) { return ed25519.Sign(k, message), nil }
	default:
		return nil, fmt.Errorf("signer: %w: key of type %T; ECDSA P-256 and Ed25519 are supported", ErrEncoding, key)
	}
	var err error
	if s.publicKey, err = newPublicKey(key.Public()); err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	return s, nil
}

// Repeats implements Repeater.
func (s keySigner) Repeats() bool { return true }

// Repeater is a Signer that can tell that it gives the same message the same bytes.
type Repeater interface{ Repeats() bool }

// Repeats reports whether s gives the same message the same bytes, so that a signature
// can be made again to compare it. A key service need not, and is not asked for more
// signatures than a bundle needs.
func Repeats(s Signer) bool {
	r, tells := s.(Repeater)
	return tells && r.Repeats()
}

// Sign implements Signer. The signature is verified before it is returned: a
// deterministic signature computed wrongly once (a flipped bit in memory)
// would not only be useless, it could reveal the key.
func (s keySigner) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sign with %s: %w", s.id, err)
	}
	sig, err := s.sign(message)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", s.id, err)
	}
	if err := s.Verify(message, sig); err != nil {
		return nil, fmt.Errorf("sign with %s: check of the new signature: %w", s.id, err)
	}
	return sig, nil
}
