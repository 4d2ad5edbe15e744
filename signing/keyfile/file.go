package keyfile

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/stella-ops/exportcenter/signing"
)

// maxFile is the most bytes of a key file that are read; real ones have under
// one kilobyte.
const maxFile = 16 << 10

// tooOpen are the mode bits a private key must not have. Its group may read
// it: Kubernetes hands a mounted secret to a non-root process that way.
const tooOpen fs.FileMode = 0o037

// Write seals key with password into a new file with mode 0600. It never
// replaces a file (the error is then fs.ErrExist), and after a crash the file
// is there in full or not at all. An empty password is possible, as with
// cosign; then the file's permissions are all that protects the key.
func Write(path string, key crypto.Signer, password []byte) error {
	text, err := seal(key, password)
	if err != nil {
		return fmt.Errorf("write key %s: %w", path, err)
	}
	if err := create(path, text, 0o600); err != nil {
		return fmt.Errorf("write key %s: %w", path, err)
	}
	return nil
}

// WritePublic writes the signer's public key as PKIX PEM with mode 0644, for
// cosign, openssl and stella. A file that already holds exactly that key is
// left as it is; any other one is never replaced.
func WritePublic(path string, s signing.Signer) error {
	text := s.PublicKeyPEM()
	err := create(path, text, 0o644)
	if errors.Is(err, fs.ErrExist) {
		if there, readErr := readFile(path); readErr == nil && bytes.Equal(there, text) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("write public key %s: %w", path, err)
	}
	return nil
}

// Load opens the key in path. The error says whether the file is missing
// (fs.ErrNotExist), open to others (ErrPermissions), no such key (ErrFormat)
// or does not open with that password (ErrPassword).
func Load(path string, password []byte) (signing.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("load key: %w", err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&tooOpen != 0 {
		return nil, fmt.Errorf("load key %s: %w: mode is %04o; run `chmod 600 %s`", path, ErrPermissions, mode, path)
	}
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("load key: %w", err)
	}
	s, err := open(text, password)
	if err != nil {
		return nil, fmt.Errorf("load key %s: %w", path, err)
	}
	return s, nil
}

// readFile reads a small regular file. Opening a pipe would wait for a writer.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: not a regular file", path, ErrFormat)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", path, ErrFormat, maxFile)
	}
	return text, nil
}

// create makes path with that content, or fails with fs.ErrExist. The content
// is complete and on the disk before the name appears: a link, unlike a
// rename, does not replace what is there.
func create(path string, content []byte, mode fs.FileMode) error {
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if err := fill(temp, content, mode); err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func fill(f *os.File, content []byte, mode fs.FileMode) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes the new name survive a power failure.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be opened for that there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
