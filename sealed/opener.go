package sealed

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
)

// Keys open what was encrypted: age identities, and a key service where there is one.
// They are never part of a bundle.
type Keys struct {
	Identities []*age.X25519Identity
	Service    KeyWrapper
}

// None reports whether there is no key at all.
func (k Keys) None() bool { return len(k.Identities) == 0 && k.Service == nil }

// maxIdentities bounds a file of identities, in bytes.
const maxIdentities = 64 << 10

// ParseIdentities reads a file as age-keygen writes it: native identities, one a
// line; empty lines and those that begin with # are left out. Errors name the line
// and quote nothing: it may be a secret.
func ParseIdentities(r io.Reader) ([]*age.X25519Identity, error) {
	limited := &io.LimitedReader{R: r, N: maxIdentities + 1}
	lines := bufio.NewScanner(limited)
	var found []*age.X25519Identity
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		identity, err := age.ParseX25519Identity(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is not a native age identity (AGE-SECRET-KEY-1...), as age-keygen makes them", n)
		}
		found = append(found, identity)
	}
	switch {
	case lines.Err() != nil:
		return nil, errors.New("it cannot be read as lines of text")
	case limited.N == 0:
		return nil, fmt.Errorf("it has more than %d bytes", maxIdentities)
	case len(found) == 0:
		return nil, errors.New("it holds no identity")
	}
	return found, nil
}

// Sealing is what a bundle says of how it was encrypted.
type Sealing struct {
	Mode       Mode
	Of         Context
	Recipients []string
	Keys       []WrappedKey      // of mode aes-gcm
	KeyCheck   [sha256.Size]byte // of mode aes-gcm
}

// Opener opens the files of one run. In mode aes-gcm it holds the data key until
// Close.
type Opener struct {
	// Recipient is the one as whom it opens.
	Recipient string

	sealing  Sealing
	identity *age.X25519Identity
	dataKey  []byte
}

// NewOpener finds the key that opens a run's files. An error that wraps ErrNoKey says
// that none of keys is a recipient's; one that wraps ErrTampered or ErrForm that a
// wrapped key is not what it should be.
func NewOpener(ctx context.Context, s Sealing, keys Keys) (*Opener, error) {
	o := &Opener{sealing: s}
	for _, identity := range keys.Identities {
		if recipient := identity.Recipient().String(); slices.Contains(s.Recipients, recipient) {
			o.identity, o.Recipient = identity, recipient
			break
		}
	}
	if s.Mode == ModeAge {
		if o.identity == nil {
			return nil, noKey(s, keys)
		}
		return o, nil
	}
	err := o.unwrap(ctx, keys)
	if err == nil {
		err = o.check()
	}
	if err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// noKey says for whom the files are; who asked is told by what age calls it.
func noKey(s Sealing, keys Keys) error {
	given := make([]string, len(keys.Identities))
	for i, identity := range keys.Identities {
		given[i] = identity.Recipient().String()
	}
	return fmt.Errorf("%w: the bundle is encrypted for %s; given: %s", ErrNoKey, strings.Join(s.Recipients, ", "), strings.Join(given, ", "))
}

// unwrap finds the data key: by an identity, else by the key service.
func (o *Opener) unwrap(ctx context.Context, keys Keys) error {
	var asked error
	for _, k := range o.sealing.Keys {
		var err error
		switch {
		case o.identity != nil && k.Recipient == o.Recipient:
			o.dataKey, err = unwrapAge(o.identity, k)
			return err
		case o.identity == nil && IsKMS(k.Recipient) && keys.Service != nil:
			if o.dataKey, err = keys.Service.Unwrap(ctx, k.Recipient, o.sealing.Of, k.Wrapped); err == nil {
				o.Recipient = k.Recipient
				return nil
			}
			asked = errors.Join(asked, fmt.Errorf("key service: %s: %w", k.Recipient, err))
		}
	}
	if asked != nil {
		return errors.Join(noKey(o.sealing, keys), asked)
	}
	return noKey(o.sealing, keys)
}

// check holds the data key against what the bundle says of it.
func (o *Opener) check() error {
	if len(o.dataKey) != DataKeySize {
		return fmt.Errorf("wrapped key of %s: %w: %d bytes are no data key", o.Recipient, ErrForm, len(o.dataKey))
	}
	have, err := keyCheck(o.dataKey, o.sealing.Of, o.sealing.Recipients)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(have[:], o.sealing.KeyCheck[:]) != 1 {
		return fmt.Errorf("wrapped key of %s: it is not this bundle's data key: %w", o.Recipient, ErrTampered)
	}
	return nil
}

// Open opens the encrypted file in the first size bytes of src, whose plaintext is at
// path: a view that authenticates every chunk it reads, and the plaintext's length.
// It may be read by many at once, and holds two chunks.
func (o *Opener) Open(path string, src io.ReaderAt, size int64) (io.ReaderAt, int64, error) {
	if o.sealing.Mode == ModeGCM {
		if o.dataKey == nil {
			return nil, 0, errClosed
		}
		return newGCMReader(src, size, o.dataKey, aad(o.sealing.Of, path))
	}
	plain, err := CheckForm(ModeAge, len(o.sealing.Recipients), src, size)
	if err != nil {
		return nil, 0, err
	}
	view, found, err := age.DecryptReaderAt(source{src}, size, o.identity)
	if err != nil {
		return nil, 0, ageError(err)
	}
	if found != plain {
		return nil, 0, fmt.Errorf("%w: %d bytes of plaintext, %d expected", ErrForm, found, plain)
	}
	return ageView{view, plain}, plain, nil
}

// ageView gives age's errors the names of this package.
type ageView struct {
	io.ReaderAt
	size int64
}

func (v ageView) ReadAt(p []byte, off int64) (int, error) {
	if off >= v.size {
		return 0, io.EOF
	}
	n, err := v.ReaderAt.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = ageError(err)
	}
	return n, err
}

// Close forgets the data key. It may be called again.
func (o *Opener) Close() {
	clear(o.dataKey)
	o.dataKey, o.identity = nil, nil
}
