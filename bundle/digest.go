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

// parseHex reads the digits of a digest, 64 of them: its callers looked. Mirrors name
// millions of originals so.
func parseHex(digits, whole string) (d Digest, err error) {
	odd := byte(0)
	for i := range d {
		high, low := hexValues[digits[2*i]], hexValues[digits[2*i+1]]
		d[i], odd = high<<4|low, odd|high|low
	}
	if odd > 0xf {
		return Digest{}, fmt.Errorf("digest %.80q: want sha256:<64 lower-case hex digits>", whole)
	}
	return d, nil
}

// hexValues are the values of lower-case hex digits; of every other byte it is noHex.
var hexValues = func() (values [256]byte) {
	const noHex = 0x80
	for c := range values {
		values[c] = noHex
	}
	for value, c := range []byte("0123456789abcdef") {
		values[c] = byte(value)
	}
	return values
}()

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
