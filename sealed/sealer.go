package sealed

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
)

// Terms are what a run is to be encrypted by.
type Terms struct {
	Mode       Mode
	Recipients []string // sorted, each once
	// Strict refuses to leave a recipient out.
	Strict bool
}

// Omitted is a recipient that was left out, and why.
type Omitted struct {
	Recipient string `json:"recipient"`
	Reason    string `json:"reason"`
}

// Sealer encrypts the files of one run, in one attempt. In mode aes-gcm it holds the
// data key until Close.
type Sealer struct {
	// Recipients are those that can open what it encrypts, sorted.
	Recipients []string
	Omitted    []Omitted
	// Keys and KeyCheck are of mode aes-gcm: the data key for each recipient.
	Keys     []WrappedKey
	KeyCheck [sha256.Size]byte

	mode    Mode
	of      Context
	to      []age.Recipient
	dataKey []byte
	random  io.Reader
}

// NewSealer finds out which recipients can be used, and wraps a new data key for
// them. Without one it is an error that wraps ErrNoRecipient; with strict terms, the
// first that cannot be used is one that wraps ErrRecipient. Any other error is of the
// key service or of random, and may be worth another try.
func NewSealer(ctx context.Context, terms Terms, of Context, service KeyWrapper, random io.Reader) (*Sealer, error) {
	if !terms.Mode.Valid() {
		return nil, fmt.Errorf("%w: %.40q is no mode of encryption", ErrRecipient, terms.Mode)
	}
	s := &Sealer{mode: terms.Mode, of: of, random: random}
	if terms.Mode == ModeGCM {
		s.dataKey = make([]byte, DataKeySize)
		if _, err := io.ReadFull(random, s.dataKey); err != nil {
			return nil, fmt.Errorf("make a data key: %w", err)
		}
	}
	for _, recipient := range Normal(terms.Recipients) {
		err := s.admit(ctx, recipient, service)
		switch {
		case err == nil:
			s.Recipients = append(s.Recipients, recipient)
		case terms.Strict || !errors.Is(err, ErrRecipient):
			s.Close()
			return nil, fmt.Errorf("recipient %.100s: %w", recipient, err)
		default:
			s.Omitted = append(s.Omitted, Omitted{Recipient: recipient, Reason: err.Error()})
		}
	}
	return s, s.settle()
}

// admit takes a recipient in.
func (s *Sealer) admit(ctx context.Context, recipient string, service KeyWrapper) error {
	if err := CheckRecipient(s.mode, recipient); err != nil {
		return err
	}
	if s.mode == ModeAge {
		to, err := parseAge(recipient)
		s.to = append(s.to, to)
		return err
	}
	wrapped, err := wrap(ctx, service, recipient, s.of, s.dataKey)
	if err != nil {
		return err
	}
	s.Keys = append(s.Keys, WrappedKey{recipient, wrapped})
	return nil
}

// settle refuses a sealer that nobody could open anything of.
func (s *Sealer) settle() (err error) {
	if n := len(s.Recipients); n == 0 || n > MaxRecipients {
		s.Close()
		return fmt.Errorf("%w: %d of %d can be used; want 1 to %d", ErrNoRecipient, n, n+len(s.Omitted), MaxRecipients)
	}
	if s.mode == ModeGCM {
		s.KeyCheck, err = keyCheck(s.dataKey, s.of, s.Recipients)
	}
	return err
}

// Seal begins the encrypted file of the plaintext at path, which is written to what
// it gives; Close of that ends the file and leaves dst open.
func (s *Sealer) Seal(path string, dst io.Writer) (io.WriteCloser, error) {
	if s.mode == ModeAge {
		return age.Encrypt(dst, s.to...)
	}
	if s.dataKey == nil {
		return nil, errClosed
	}
	nonce := make([]byte, NonceSize)
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return nil, fmt.Errorf("make a nonce: %w", err)
	}
	return newGCMWriter(dst, s.dataKey, nonce, aad(s.of, path))
}

// aad binds a file to its run and its path.
func aad(of Context, path string) string { return of.RunID + ":" + path }

// Mode is how it encrypts.
func (s *Sealer) Mode() Mode { return s.mode }

// Close forgets the data key. It may be called again.
func (s *Sealer) Close() {
	clear(s.dataKey)
	s.dataKey = nil
	s.to = slices.Delete(s.to, 0, len(s.to))
}
