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

	"github.com/stella-ops/exportcenter/internal/devtoken"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/keyfile"
)

// MakeKeys makes, in the data directory, what the first start of `up` makes:
// the signing key with its password, its public key in trust/, and the
// development token issuer. What is there stays. It gives the key's id; a
// compose file runs it for its volume.
func MakeKeys(data string, random io.Reader) (string, error) {
	l, err := makeLayout(data)
	if err != nil {
		return "", err
	}
	return makeKeys(l, random)
}

func makeKeys(l layout, random io.Reader) (string, error) {
	password, err := signingPassword(l, random)
	if err != nil {
		return "", err
	}
	if err := makeSigningKey(l, password); err != nil {
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
	return signer.KeyID(), nil
}

// makeSigningKey makes the key unless it is there. Its randomness is the
// system's own: a key has no use for a repeatable one.
func makeSigningKey(l layout, password []byte) error {
	if _, err := os.Stat(l.signingKey()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := keyfile.Generate(signing.ECDSAP256, rand.Reader)
	if err != nil {
		return err
	}
	return keyfile.Write(l.signingKey(), key, password)
}

// signingPassword reads the key's password or makes it. It is on the disk
// before the key that it opens.
func signingPassword(l layout, random io.Reader) ([]byte, error) {
	raw, err := os.ReadFile(l.signingPassword())
	if err == nil {
		return bytes.TrimRight(raw, "\r\n"), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the signing key's password: %w", err)
	}
	if _, err := os.Stat(l.signingKey()); err == nil {
		return nil, fmt.Errorf("%s is missing, and only it opens %s: put it back from a copy", l.signingPassword(), l.signingKey())
	}
	text, err := randomHex(random, 24)
	if err != nil {
		return nil, err
	}
	return []byte(text), writeWhole(l.signingPassword(), []byte(text))
}
