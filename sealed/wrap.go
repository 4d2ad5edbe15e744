package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// Context is what a wrapped key is bound to where a key service does so.
type Context struct {
	RunID, Tenant string
}

// KeyWrapper wraps data keys by keys of a key service. keyID is the whole recipient,
// "kms://...". An error that wraps ErrRecipient says that the key cannot be used; any
// other that the service could not be asked, which may be worth another try.
type KeyWrapper interface {
	Wrap(ctx context.Context, keyID string, of Context, dataKey []byte) (wrapped []byte, err error)
	Unwrap(ctx context.Context, keyID string, of Context, wrapped []byte) (dataKey []byte, err error)
}

// WrappedKey is the data key of a run for one recipient: an age file of it, or what
// the key service made of it.
type WrappedKey struct {
	Recipient string
	Wrapped   []byte
}

// MaxWrappedKey bounds a wrapped key; that of an age recipient has 232 bytes.
const MaxWrappedKey = 4 << 10

var errNoService = fmt.Errorf("%w: no key service is configured, so keys of kms:// cannot be used; configure one, or use age1... recipients", ErrRecipient)

// wrap wraps a data key for one recipient.
func wrap(ctx context.Context, service KeyWrapper, recipient string, of Context, dataKey []byte) ([]byte, error) {
	if IsKMS(recipient) {
		if service == nil {
			return nil, errNoService
		}
		wrapped, err := service.Wrap(ctx, recipient, of, dataKey)
		if err == nil && (len(wrapped) == 0 || len(wrapped) > MaxWrappedKey || bytes.Contains(wrapped, dataKey)) {
			err = fmt.Errorf("the key service made %d bytes of the key that are no wrapped key", len(wrapped))
		}
		return wrapped, err
	}
	to, err := parseAge(recipient)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to)
	if err == nil {
		_, err = w.Write(dataKey)
	}
	if err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

// CheckWrapped says why a wrapped key cannot be one, as far as that can be known
// without a key.
func CheckWrapped(k WrappedKey) error {
	if IsKMS(k.Recipient) {
		if n := len(k.Wrapped); n == 0 || n > MaxWrappedKey {
			return fmt.Errorf("%w: a wrapped key of %d bytes; want 1 to %d", ErrForm, n, MaxWrappedKey)
		}
		return nil
	}
	plain, err := CheckForm(ModeAge, 1, bytes.NewReader(k.Wrapped), int64(len(k.Wrapped)))
	if err == nil && plain != DataKeySize {
		err = fmt.Errorf("%w: it wraps %d bytes, a data key has %d", ErrForm, plain, DataKeySize)
	}
	return err
}

// unwrapAge opens a wrapped key of an age recipient.
func unwrapAge(identity *age.X25519Identity, k WrappedKey) ([]byte, error) {
	if err := CheckWrapped(k); err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(k.Wrapped), identity)
	if err != nil {
		return nil, fmt.Errorf("wrapped key of %s: %w", k.Recipient, ageError(err))
	}
	dataKey := make([]byte, DataKeySize)
	if _, err := io.ReadFull(r, dataKey); err != nil {
		return nil, fmt.Errorf("wrapped key of %s: %w", k.Recipient, ageError(err))
	}
	return dataKey, nil
}

// ageError says in words of this package what age found.
func ageError(err error) error {
	var none *age.NoIdentityMatchError
	var unread *sourceError
	switch {
	case errors.As(err, &none):
		return ErrNoKey
	case errors.As(err, &unread):
		return unread.err
	}
	return fmt.Errorf("%w (%w)", ErrTampered, err)
}

// sourceError is an error of the source that age reads, and not of what is in it.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// source marks the errors of a source.
type source struct{ io.ReaderAt }

func (s source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.ReaderAt.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &sourceError{err}
	}
	return n, err
}
