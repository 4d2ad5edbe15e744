package signing

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
)

// MaxPublicKey is the most bytes ParsePublicKey looks at.
const MaxPublicKey = 4 << 10

const (
	keyIDPrefix  = "sha256:"
	publicKeyPEM = "PUBLIC KEY"
)

// publicKey is a key of one of the two schemes with its names.
type publicKey struct {
	key       crypto.PublicKey
	algorithm Algorithm
	der       []byte
	id        string
}

// newPublicKey accepts ECDSA on P-256 and Ed25519, nothing else.
func newPublicKey(pub crypto.PublicKey) (publicKey, error) {
	p := publicKey{key: pub}
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if !onP256(k) {
			return p, fmt.Errorf("%w: ECDSA keys must be complete and on P-256", ErrEncoding)
		}
		p.algorithm = ECDSAP256
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return p, fmt.Errorf("%w: Ed25519 public key of %d bytes", ErrEncoding, len(k))
		}
		p.algorithm = Ed25519
	default:
		return p, fmt.Errorf("%w: key of type %T; ECDSA P-256 and Ed25519 are supported", ErrEncoding, pub)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return p, fmt.Errorf("%w: encode public key: %v", ErrEncoding, err)
	}
	sum := sha256.Sum256(der)
	p.der, p.id = der, keyIDPrefix+hex.EncodeToString(sum[:])
	return p, nil
}

// onP256 also refuses a key without coordinates, on which crypto/ecdsa panics.
func onP256(k *ecdsa.PublicKey) bool {
	//lint:ignore SA1019 nothing is computed with the coordinates, they only have to be there
	return k != nil && k.Curve == elliptic.P256() && k.X != nil && k.Y != nil
}

func (p publicKey) KeyID() string        { return p.id }
func (p publicKey) Algorithm() Algorithm { return p.algorithm }

func (p publicKey) PublicKeyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: publicKeyPEM, Bytes: p.der})
}

// Verify implements Verifier.
func (p publicKey) Verify(message, sig []byte) error {
	switch k := p.key.(type) {
	case *ecdsa.PublicKey:
		return verifyECDSA(k, message, sig)
	case ed25519.PublicKey:
		return verifyEd25519(k, message, sig)
	}
	return fmt.Errorf("%w: no key", ErrEncoding)
}

// verifyEd25519 relies on ed25519.Verify for the one accepted form: it
// refuses an S outside the group order and compares R by its bytes (RFC 8032
// §5.1.7).
func verifyEd25519(pub ed25519.PublicKey, message, sig []byte) error {
	if len(sig) != ed25519.SignatureSize {
		return fmt.Errorf("%w: Ed25519 signature of %d bytes, want %d", ErrEncoding, len(sig), ed25519.SignatureSize)
	}
	if !ed25519.Verify(pub, message, sig) {
		return ErrSignature
	}
	return nil
}

// NewVerifier makes a Verifier of an ECDSA P-256 or Ed25519 public key.
func NewVerifier(pub crypto.PublicKey) (Verifier, error) {
	p, err := newPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	return p, nil
}

// ParsePublicKey reads one PKIX public key in PEM (RFC 7468 §13), as cosign
// and openssl write it. White space may stand around the block and lines may
// end in CR LF; anything else around, inside or after it is refused.
func ParsePublicKey(text []byte) (Verifier, error) {
	if len(text) > MaxPublicKey {
		return nil, fmt.Errorf("public key: %w: more than %d bytes", ErrEncoding, MaxPublicKey)
	}
	text = bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
	block, _ := pem.Decode(text)
	if block == nil || block.Type != publicKeyPEM {
		return nil, fmt.Errorf("public key: %w: want one PEM block %q", ErrEncoding, publicKeyPEM)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("public key: %w: %v", ErrEncoding, err)
	}
	p, err := newPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	if !bytes.Equal(bytes.TrimSpace(p.PublicKeyPEM()), text) {
		return nil, fmt.Errorf("public key: %w: want exactly one plain PEM block and nothing else", ErrEncoding)
	}
	return p, nil
}

// SSHFingerprint names a key as "ssh-keygen -lf" prints it,
// "SHA256:<base64>": SHA-256 over the key's SSH wire form (RFC 4253 §6.6, RFC
// 5656 §3.1, RFC 8709 §4). It is for people to compare by eye; envelopes carry
// KeyID.
func SSHFingerprint(pub crypto.PublicKey) (string, error) {
	if _, err := newPublicKey(pub); err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	var wire []byte
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			return "", fmt.Errorf("fingerprint: %w: %v", ErrEncoding, err)
		}
		wire = sshStrings([]byte("ecdsa-sha2-nistp256"), []byte("nistp256"), point)
	case ed25519.PublicKey:
		wire = sshStrings([]byte("ssh-ed25519"), k)
	}
	sum := sha256.Sum256(wire)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), nil
}

func sshStrings(parts ...[]byte) []byte {
	var wire []byte
	for _, part := range parts {
		wire = binary.BigEndian.AppendUint32(wire, uint32(len(part)))
		wire = append(wire, part...)
	}
	return wire
}

// keyHash gives the 32 bytes inside a key id, refusing any other spelling.
func keyHash(keyID string) ([]byte, error) {
	digits, found := strings.CutPrefix(keyID, keyIDPrefix)
	sum, err := hex.DecodeString(digits)
	if !found || err != nil || len(sum) != sha256.Size || keyIDOf(sum) != keyID {
		return nil, fmt.Errorf("%w: key id %.80q, want sha256:<64 lower-case hex digits>", ErrEncoding, keyID)
	}
	return sum, nil
}

func keyIDOf(sum []byte) string { return keyIDPrefix + hex.EncodeToString(sum) }

// trusted picks the key with that id from the ones the caller trusts.
func trusted(keys []Verifier, keyID string) (Verifier, error) {
	for _, k := range keys {
		if k != nil && k.KeyID() == keyID {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%w: %s is none of the %d trusted keys", ErrUnknownKey, keyID, len(keys))
}
