package tuf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/durable"
)

// Folder is a directory of root documents: 1.root.json, 2.root.json, and so on
// without a gap. Other files in it are not looked at.
type Folder string

// ErrNoRoots is wrapped when a folder has no root.
var ErrNoRoots = errors.New("no TUF root")

// Chain reads and checks the folder's roots.
func (f Folder) Chain() (Chain, error) {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s does not exist", ErrNoRoots, f)
	}
	if err != nil {
		return nil, fmt.Errorf("TUF roots: %w", err)
	}
	last := int64(0)
	for _, entry := range entries {
		last = max(last, bundle.TUFRootVersion(bundle.TUFDir+entry.Name()))
	}
	if last == 0 {
		return nil, fmt.Errorf("%w: %s has no 1.root.json", ErrNoRoots, f)
	}
	documents := make([][]byte, last)
	for i := range documents {
		if documents[i], err = ReadFile(f.At(int64(i + 1))); err != nil {
			return nil, fmt.Errorf("TUF root %d of %d: %w", i+1, last, err)
		}
	}
	chain, err := ReadChain(documents)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	return chain, nil
}

// At is where the root of a version lies.
func (f Folder) At(version int64) string {
	return filepath.Join(string(f), strings.TrimPrefix(bundle.TUFRootPathOf(version), bundle.TUFDir))
}

// ReadFile reads a root document from a regular file: opening a pipe would wait.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() && info.Size() == 0 {
		return nil, fmt.Errorf("%s: %w: it is empty: the command that began it ended on the way; remove it and give the command again", path, ErrForm)
	}
	if !info.Mode().IsRegular() || info.Size() > maxRoot {
		return nil, fmt.Errorf("%s: %w: no regular file of at most %d bytes", path, ErrForm, maxRoot)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	raw, err := io.ReadAll(io.LimitReader(file, maxRoot+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return raw, nil
}

// Write adds a root. It never replaces a file (the error is then fs.ErrExist): two
// roots of one version are a fork. After a crash the file is there in full or not at
// all; where there are no hard links it may be there and be empty, which is no root.
func (f Folder) Write(root Document[Root]) error {
	if err := os.MkdirAll(string(f), 0o755); err != nil {
		return fmt.Errorf("TUF roots: %w", err)
	}
	path := f.At(root.Signed.Version)
	temp := path + ".making"
	if err := durable.WriteFile(temp, root.Raw, 0o644); err != nil {
		return err
	}
	defer os.Remove(temp)                           //nolint:errcheck // it is no root
	err := link(temp, path)                         // a link, unlike a rename, replaces nothing
	if err != nil && !errors.Is(err, fs.ErrExist) { // FAT has none
		err = takePlace(temp, path)
	}
	if err != nil {
		return fmt.Errorf("TUF root %d: %w", root.Signed.Version, err)
	}
	return durable.SyncDir(string(f))
}

// link is os.Link; a test has a file system without.
var link = os.Link

// takePlace renames temp to path, which was nobody's: an empty file takes the name first.
func takePlace(temp, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err = file.Close(); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
