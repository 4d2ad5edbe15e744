package tuf

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"regexp"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
)

// Key is a public key as a root document has it (specification section 4.2).
type Key struct {
	Type   string   `json:"keytype"`
	Value  KeyValue `json:"keyval"`
	Scheme string   `json:"scheme"`
}

// KeyValue holds the key itself: a PKIX PEM block of an ECDSA key, 64 hex digits
// of an Ed25519 key.
type KeyValue struct {
	Public string `json:"public"`
}

// The two kinds of keys, by the names of the specification.
const (
	typeECDSA     = "ecdsa"
	schemeECDSA   = "ecdsa-sha2-nistp256"
	typeEd25519   = "ed25519"
	schemeEd25519 = "ed25519"
)

// KeyOf makes a Key of a public key in PEM.
func KeyOf(publicPEM []byte) (Key, error) {
	verifier, err := signing.ParsePublicKey(publicPEM)
	if err != nil {
		return Key{}, err
	}
	written, ok := verifier.(interface{ PublicKeyPEM() []byte })
	if !ok {
		return Key{}, fmt.Errorf("public key: %T cannot be written", verifier)
	}
	text := written.PublicKeyPEM() // the one form; what was read may have other line ends
	block, _ := pem.Decode(text)
	if block == nil {
		return Key{}, fmt.Errorf("public key: no PEM block")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("public key: %w", err)
	}
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return Key{typeECDSA, KeyValue{string(text)}, schemeECDSA}, nil
	case ed25519.PublicKey:
		return Key{typeEd25519, KeyValue{hex.EncodeToString(k)}, schemeEd25519}, nil
	}
	return Key{}, fmt.Errorf("public key of type %T: ECDSA P-256 and Ed25519 are supported", public)
}

// ID is the key's name in TUF documents: the SHA-256 of its canonical form, in
// hex. It is not the id that signing gives the same key.
func (k Key) ID() (string, error) {
	text, err := canonical(k)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// Verifier gives the key to check signatures with. A key that is not in the form
// that KeyOf gives is an error: another spelling would be another id of one key.
func (k Key) Verifier() (signing.Verifier, error) {
	switch {
	case k.Type == typeECDSA && k.Scheme == schemeECDSA:
		again, err := KeyOf([]byte(k.Value.Public))
		if err != nil {
			return nil, err
		}
		if again != k {
			return nil, fmt.Errorf("public key: not the one form of an ECDSA key")
		}
		return signing.ParsePublicKey([]byte(k.Value.Public))
	case k.Type == typeEd25519 && k.Scheme == schemeEd25519:
		raw, err := hex.DecodeString(k.Value.Public)
		if err != nil || len(raw) != ed25519.PublicKeySize || hex.EncodeToString(raw) != k.Value.Public {
			return nil, fmt.Errorf("public key: want %d lower-case hex digits of an Ed25519 key", 2*ed25519.PublicKeySize)
		}
		return signing.NewVerifier(ed25519.PublicKey(raw))
	}
	return nil, fmt.Errorf("keytype %.40q with scheme %.40q: want %s with %s, or %s with %s",
		k.Type, k.Scheme, typeECDSA, schemeECDSA, typeEd25519, schemeEd25519)
}

var hexForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// canonical gives the form of v that is hashed and signed: OLPC canonical JSON,
// which the specification asks for (section 4.1). It differs from RFC 8785 in
// strings only: a backslash stands before quote and backslash, and every other
// character for itself, also a line feed in the PEM text of a key.
func canonical(v any) ([]byte, error) {
	text, err := bundle.MarshalCanonical(v)
	if err != nil {
		return nil, err
	}
	return unescaped(text)
}

// unescaped rewrites the escapes of RFC 8785. A backslash is only in strings.
func unescaped(text []byte) ([]byte, error) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		i++
		switch text[i] {
		case '"', '\\':
			out = append(out, '\\', text[i])
		case 'n':
			out = append(out, '\n')
		default: // no document has one: see the checks of texts
			return nil, fmt.Errorf("canonical form: the escape \\%c has no place in a TUF document", text[i])
		}
	}
	return out, nil
}
