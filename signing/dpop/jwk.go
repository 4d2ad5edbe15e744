package dpop

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
)

// encoding is how JOSE writes bytes: base64url without padding (RFC 7515
// section 2), of which every value has exactly one form.
var encoding = base64.RawURLEncoding.Strict()

// The algorithms of a proof. Both are asymmetric, so what verifies one cannot
// make one.
const (
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// Algorithms is the list for a challenge (RFC 9449 section 7.1).
const Algorithms = ES256 + " " + EdDSA

const coordinate = 32 // bytes of a P-256 coordinate and of an Ed25519 key

// publicKey is the key that a proof brings with it.
type publicKey struct {
	algorithm  string
	ec         *ecdsa.PublicKey  // for ES256
	ed         ed25519.PublicKey // for EdDSA
	thumbprint string
}

// readKey reads the jwk member of a proof's header (RFC 7517, RFC 8037). A
// member that makes up a private or shared key refuses it (RFC 9449 section 4.3,
// check 7): such a key is no secret any more.
func readKey(raw json.RawMessage) (publicKey, error) {
	var members map[string]json.RawMessage
	if err := bundle.UnmarshalStrict(raw, &members); err != nil {
		return publicKey{}, refuse(ReasonKey, "it is not an object: %v", err)
	}
	for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, there := members[secret]; there {
			return publicKey{}, refuse(ReasonPrivateKey, "the member %q is part of a private key", secret)
		}
	}
	// What WebCrypto and others add to a public key; none of it changes the key.
	for _, note := range []string{"kid", "use", "key_ops", "ext"} {
		delete(members, note)
	}
	switch text(members["kty"]) + " " + text(members["crv"]) {
	case "EC P-256":
		return readEC(members)
	case "OKP Ed25519":
		return readEd(members)
	}
	return publicKey{}, refuse(ReasonKey, "want kty EC with crv P-256, or kty OKP with crv Ed25519")
}

func readEC(members map[string]json.RawMessage) (publicKey, error) {
	if err := only(members, ES256, "kty", "crv", "x", "y"); err != nil {
		return publicKey{}, err
	}
	x, errX := part(members["x"], coordinate)
	y, errY := part(members["y"], coordinate)
	if err := errors.Join(errX, errY); err != nil {
		return publicKey{}, refuse(ReasonKey, "%v", err)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return publicKey{}, refuse(ReasonKey, "x and y are no point of the curve")
	}
	return publicKey{algorithm: ES256, ec: key, thumbprint: thumbprintEC(x, y)}, nil
}

func readEd(members map[string]json.RawMessage) (publicKey, error) {
	if err := only(members, EdDSA, "kty", "crv", "x"); err != nil {
		return publicKey{}, err
	}
	x, err := part(members["x"], coordinate)
	if err != nil {
		return publicKey{}, refuse(ReasonKey, "%v", err)
	}
	return publicKey{algorithm: EdDSA, ed: x, thumbprint: thumbprintOf(`{"crv":"Ed25519","kty":"OKP","x":"` + encoding.EncodeToString(x) + `"}`)}, nil
}

// only refuses members beside the wanted ones and an alg of another algorithm.
func only(members map[string]json.RawMessage, algorithm string, wanted ...string) error {
	if alg, there := members["alg"]; there {
		if text(alg) != algorithm {
			return refuse(ReasonKey, "its alg does not fit the key")
		}
		delete(members, "alg")
	}
	for _, name := range wanted {
		if _, there := members[name]; !there {
			return refuse(ReasonKey, "the member %q is missing", name)
		}
	}
	for name := range members {
		if !slices.Contains(wanted, name) {
			return refuse(ReasonKey, "the member %.40q is not allowed", name)
		}
	}
	return nil
}

// verifies reports whether signature is this key's over signed.
func (k publicKey) verifies(signed, signature []byte) bool {
	if len(signature) != 2*coordinate { // both algorithms have 64 bytes
		return false
	}
	if k.algorithm == EdDSA {
		return ed25519.Verify(k.ed, signed, signature)
	}
	sum := sha256.Sum256(signed)
	r, s := new(big.Int).SetBytes(signature[:coordinate]), new(big.Int).SetBytes(signature[coordinate:])
	return ecdsa.Verify(k.ec, sum[:], r, s)
}

// thumbprintEC is the RFC 7638 thumbprint of a P-256 key: the hash of its
// required members in the order of their names, without white space.
func thumbprintEC(x, y []byte) string {
	return thumbprintOf(`{"crv":"P-256","kty":"EC","x":"` + encoding.EncodeToString(x) + `","y":"` + encoding.EncodeToString(y) + `"}`)
}

func thumbprintOf(members string) string {
	sum := sha256.Sum256([]byte(members))
	return encoding.EncodeToString(sum[:])
}

// ValidThumbprint reports whether s has the form of a SHA-256 thumbprint.
func ValidThumbprint(s string) bool {
	raw, err := encoding.DecodeString(s)
	return err == nil && len(raw) == sha256.Size
}

// text gives the string in raw, "" when it is something else.
func text(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// part decodes a base64url member of exactly size bytes.
func part(raw json.RawMessage, size int) ([]byte, error) {
	decoded, err := encoding.DecodeString(text(raw))
	if err != nil || len(decoded) != size {
		return nil, fmt.Errorf("a coordinate is not %d bytes in base64url", size)
	}
	return decoded, nil
}
