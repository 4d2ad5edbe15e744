package box

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/devtoken"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/keyfile"
)

// MakeKeys makes, in the data directory, what the first start of `up` makes:
// the signing key with its password, its public key in trust/, the development
// token issuer, and the first TUF root of its mirrors. What is there stays. It gives the key's id; a
// compose file runs it for its volume.
func MakeKeys(data string, random io.Reader, now clock.Clock) (string, error) {
	l, err := makeLayout(data)
	if err != nil {
		return "", err
	}
	return makeKeys(l, random, now)
}

func makeKeys(l layout, random io.Reader, now clock.Clock) (string, error) {
	password, err := keyPassword(l.signingPassword(), l.signingKey(), random)
	if err != nil {
		return "", err
	}
	if err := makeKey(l.signingKey(), signing.ECDSAP256, password); err != nil {
		return "", err
	}
	signer, err := keyfile.Load(l.signingKey(), password)
	if err != nil {
		return "", err
	}
	if err := keyfile.WritePublic(filepath.Join(l.trust(), "signing.pub"), signer); err != nil {
		return "", err
	}
	if err := devtoken.Create(l.tokenIssuer(), l.jwks()); err != nil {
		return "", err
	}
	if err := makeRoot(l, random, signer, now); err != nil {
		return "", err
	}
	return signer.KeyID(), nil
}

// makeKey makes a key unless it is there. Its randomness is the system's own: a key
// has no use for a repeatable one.
func makeKey(path string, algorithm signing.Algorithm, password []byte) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := keyfile.Generate(algorithm, rand.Reader)
	if err != nil {
		return err
	}
	return keyfile.Write(path, key, password)
}

// keyPassword reads a key's password or makes it. It is on the disk before the key
// that it opens.
func keyPassword(path, key string, random io.Reader) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		return bytes.TrimRight(raw, "\r\n"), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the password of %s: %w", key, err)
	}
	if _, err := os.Stat(key); err == nil {
		return nil, fmt.Errorf("%s is missing, and only it opens %s: put it back from a copy", path, key)
	}
	text, err := randomHex(random, 24)
	if err != nil {
		return nil, err
	}
	return []byte(text), writeWhole(path, []byte(text))
}
