package sealed

import "fmt"

// Mode is how files are encrypted.
type Mode string

// The modes.
const (
	ModeAge Mode = "age"
	ModeGCM Mode = "aes-gcm"
)

// Sizes of both modes, in bytes.
const (
	// ChunkSize is the plaintext of a chunk; the last may be shorter.
	ChunkSize = 64 << 10
	// tagSize is the authentication tag of a chunk: Poly1305 and GCM have the same.
	tagSize = 16
	// NonceSize is the nonce a file of mode aes-gcm begins with.
	NonceSize = 12
	// An age header of X25519 recipients: intro, 98 bytes for each, MAC line; then
	// the 16-byte nonce of its payload (age-encryption.org/v1).
	ageFixed, ageStanza = 22 + 48 + 16, 98
)

// Valid reports whether m is a mode.
func (m Mode) Valid() bool { return m == ModeAge || m == ModeGCM }

// overhead is what stands before the chunks of a file for so many recipients.
func (m Mode) overhead(recipients int) int64 {
	if m == ModeAge {
		return ageFixed + ageStanza*int64(recipients)
	}
	return NonceSize
}

// CipherSize is the length of a file whose plaintext has plain bytes.
func (m Mode) CipherSize(recipients int, plain int64) int64 {
	chunks := max(1, (plain+ChunkSize-1)/ChunkSize)
	return m.overhead(recipients) + plain + chunks*tagSize
}

// PlainSize is the length of the plaintext of a file of cipher bytes: each length
// has one. The error says that no file has that length.
func (m Mode) PlainSize(recipients int, cipher int64) (int64, error) {
	chunked := cipher - m.overhead(recipients)
	chunks := (chunked + ChunkSize + tagSize - 1) / (ChunkSize + tagSize)
	plain := chunked - chunks*tagSize
	if chunked < tagSize || plain < 0 || m.CipherSize(recipients, plain) != cipher {
		return 0, fmt.Errorf("%w: %d bytes are no length of a file encrypted in mode %s for %d recipients", ErrForm, cipher, m, recipients)
	}
	return plain, nil
}
