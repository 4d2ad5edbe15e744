package verify

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// Trust is the keys the caller trusts.
type Trust []signing.Verifier

// ErrNoKeys is wrapped when a place to look for keys has none.
var ErrNoKeys = errors.New("no trusted key")

// LoadTrust reads the keys to trust: one from keyFile, and every *.pub file of
// trustDir. Either may be "". A file that is not exactly one public key is an
// error, also in a directory: a key that was meant and not read is not trusted
// in silence.
func LoadTrust(keyFile, trustDir string) (Trust, error) {
	var files []string
	if keyFile != "" {
		files = append(files, keyFile)
	}
	if trustDir != "" {
		found, err := publicKeyFiles(trustDir)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: give a public key or a directory with *.pub files", ErrNoKeys)
	}
	var trust Trust
	for _, file := range files {
		key, err := loadKey(file)
		if err != nil {
			return nil, err
		}
		trust = append(trust, key)
	}
	return trust, nil
}

// LoadTUFRoot reads the TUF root to compare mirrors with: that of rootFile, or, when
// that is "", tuf/root.json in trustDir if it is there. nil is none. A file that is no
// root is an error.
func LoadTUFRoot(rootFile, trustDir string) ([]byte, error) {
	path := rootFile
	if path == "" {
		if trustDir == "" {
			return nil, nil
		}
		path = filepath.Join(trustDir, filepath.FromSlash(bundle.TUFRootPath))
	}
	raw, err := tuf.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if rootFile == "" {
			return nil, nil
		}
		return nil, fmt.Errorf("%w: %s does not exist", ErrNoKeys, rootFile)
	}
	if err != nil {
		return nil, fmt.Errorf("trusted TUF root: %w", err)
	}
	if _, err := tuf.Parse[tuf.Root](raw); err != nil {
		return nil, fmt.Errorf("trusted TUF root %s: %w", path, err)
	}
	return raw, nil
}

func publicKeyFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("trust directory: %w", err)
	}
	var files []string
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) == ".pub" && !entry.IsDir() {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: trust directory %s has no *.pub file", ErrNoKeys, dir)
	}
	return files, nil
}

func loadKey(file string) (signing.Verifier, error) {
	f, _, err := OpenRegular(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s does not exist", ErrNoKeys, file)
	}
	if err != nil {
		return nil, fmt.Errorf("trusted key: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, signing.MaxPublicKey+1))
	if err != nil {
		return nil, fmt.Errorf("trusted key: %w", err)
	}
	key, err := signing.ParsePublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("trusted key %s: %w", file, err)
	}
	return key, nil
}
