// Package signing says what a signer and a verifier are, and writes and reads
// the three envelopes our signatures travel in: DSSE, and the two forms of a
// Sigstore bundle v0.3 (message signature and DSSE). It imports no room; key
// files, key services and timestamps live in the folders below it.
//
// Everything it writes has exactly one encoding, and everything it reads is
// encoded again and compared byte for byte: no bit of an envelope is free.
package signing

import "context"

// Algorithm names a signature scheme.
type Algorithm string

// The two schemes a bundle may carry. ECDSA signatures are ASN.1 DER over
// SHA-256 with s in the lower half of the group order; Ed25519 is pure, over
// the message itself.
const (
	ECDSAP256 Algorithm = "ecdsa-p256-sha256"
	Ed25519   Algorithm = "ed25519"
)

// Signer signs messages with one key.
type Signer interface {
	// KeyID is the key's name: "sha256:<hex of SHA-256 over the DER SubjectPublicKeyInfo>".
	KeyID() string
	Algorithm() Algorithm
	// PublicKeyPEM is the PKIX public key, as cosign and openssl read it.
	PublicKeyPEM() []byte
	// Sign signs message. With a key file the same message gives the same
	// bytes (RFC 6979, RFC 8032); with a key service it need not, so a caller
	// stores the first signature before it uses it.
	Sign(ctx context.Context, message []byte) ([]byte, error)
}

// Verifier checks messages against one key that the caller trusts.
type Verifier interface {
	KeyID() string
	Algorithm() Algorithm
	// Verify returns nil if sig is a valid signature of message in its one
	// accepted encoding (strict DER, low s).
	Verify(message, sig []byte) error
}
