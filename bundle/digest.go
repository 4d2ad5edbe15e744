package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Digest is a SHA-256 value. Bytes live once, under their digest.
type Digest [sha256.Size]byte

const digestPrefix = "sha256:"

// String gives the digest as manifests write it: "sha256:<64 lower-case hex>".
func (d Digest) String() string { return digestPrefix + d.Hex() }

// Hex gives the 64 lower-case hex digits.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// URI gives the address of the blob in a content-addressed store.
func (d Digest) URI() string { return "cas://sha256/" + d.Hex() }

// IsZero reports whether d was never set.
func (d Digest) IsZero() bool { return d == Digest{} }

// DigestOf hashes b.
func DigestOf(b []byte) Digest { return sha256.Sum256(b) }

// ParseDigest reads what String writes. Only the lower-case form is one:
// two spellings of a digest would be two names for the same bytes.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != len(digestPrefix)+2*sha256.Size || s[:len(digestPrefix)] != digestPrefix {
		return d, fmt.Errorf("digest %.80q: want sha256:<64 lower-case hex digits>", s)
	}
	return parseHex(s[len(digestPrefix):], s)
}

func parseHex(digits, whole string) (Digest, error) {
	var d Digest
	for i := 0; i < len(digits); i++ {
		if c := digits[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return d, fmt.Errorf("digest %.80q: want sha256:<64 lower-case hex digits>", whole)
		}
	}
	if _, err := hex.Decode(d[:], []byte(digits)); err != nil {
		return d, fmt.Errorf("digest %.80q: %w", whole, err)
	}
	return d, nil
}

// MarshalText writes d as manifests do.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Digest) UnmarshalText(text []byte) error {
	parsed, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
