package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

// Survey looks at a store without changing it: unlike Open it makes nothing
// and removes nothing. Names come sorted, a directory at a time, so a million
// blobs are listed in the memory of one directory's names.
type Survey struct{ root *os.Root }

// OpenSurvey opens the store in dir, which must be there.
func OpenSurvey(dir string) (*Survey, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	return &Survey{root: root}, nil
}

// Close releases the directory.
func (s *Survey) Close() error { return s.root.Close() }

// Namespaces lists the namespaces that have a directory, sorted.
func (s *Survey) Namespaces(ctx context.Context) ([]string, error) {
	var names []string
	err := s.list(ctx, ".", func(e fs.DirEntry) error {
		if _, ok := namespace(e); ok {
			names = append(names, e.Name())
		}
		return nil
	})
	return names, err
}

// Blobs calls yield with every published blob of a namespace, by digest.
func (s *Survey) Blobs(ctx context.Context, namespace string, yield func(storage.BlobFile) error) error {
	published := path.Join(namespace, publishedDir)
	return s.list(ctx, published, func(dir fs.DirEntry) error {
		if !dir.IsDir() || !isHex(dir.Name(), 2) {
			return nil
		}
		return s.list(ctx, path.Join(published, dir.Name()), func(e fs.DirEntry) error {
			digest, ok := blobName(dir.Name(), e)
			if !ok {
				return nil
			}
			return s.tell(path.Join(published, dir.Name(), e.Name()), digest, e, yield)
		})
	})
}

// Staged calls yield with every file that is being written, in any namespace,
// and with the files of readiness probes.
func (s *Survey) Staged(ctx context.Context, yield func(storage.BlobFile) error) error {
	return s.list(ctx, ".", func(top fs.DirEntry) error {
		dir := probeDir
		if top.Name() != probeDir {
			name, ok := namespace(top)
			if !ok {
				return nil
			}
			dir = path.Join(name, stagingDir)
		}
		return s.list(ctx, dir, func(e fs.DirEntry) error {
			if !e.Type().IsRegular() {
				return nil
			}
			return s.tell(path.Join(dir, e.Name()), bundle.Digest{}, e, yield)
		})
	})
}

// Foreign calls yield with everything that the store has not made: other
// names, other places, links.
func (s *Survey) Foreign(ctx context.Context, yield func(storage.BlobFile) error) error {
	return s.list(ctx, ".", func(top fs.DirEntry) error {
		name, ok := namespace(top)
		switch {
		case ok:
			return s.foreignIn(ctx, name, yield)
		case top.Name() == "lost+found": // of a filesystem of the store's own
			return nil
		case top.Name() == probeDir && top.IsDir():
			return s.irregular(ctx, probeDir, yield)
		}
		return s.tell(top.Name(), bundle.Digest{}, top, yield)
	})
}

func (s *Survey) foreignIn(ctx context.Context, name string, yield func(storage.BlobFile) error) error {
	return s.list(ctx, name, func(e fs.DirEntry) error {
		at := path.Join(name, e.Name())
		switch {
		case e.IsDir() && e.Name() == stagingDir:
			return s.irregular(ctx, at, yield)
		case e.IsDir() && e.Name() == publishedDir:
			return s.foreignBlobs(ctx, at, yield)
		}
		return s.tell(at, bundle.Digest{}, e, yield)
	})
}

func (s *Survey) foreignBlobs(ctx context.Context, published string, yield func(storage.BlobFile) error) error {
	return s.list(ctx, published, func(dir fs.DirEntry) error {
		at := path.Join(published, dir.Name())
		if !dir.IsDir() || !isHex(dir.Name(), 2) {
			return s.tell(at, bundle.Digest{}, dir, yield)
		}
		return s.list(ctx, at, func(e fs.DirEntry) error {
			if _, ok := blobName(dir.Name(), e); ok {
				return nil
			}
			return s.tell(path.Join(at, e.Name()), bundle.Digest{}, e, yield)
		})
	})
}

// irregular tells of everything in dir that is not a plain file.
func (s *Survey) irregular(ctx context.Context, dir string, yield func(storage.BlobFile) error) error {
	return s.list(ctx, dir, func(e fs.DirEntry) error {
		if e.Type().IsRegular() {
			return nil
		}
		return s.tell(path.Join(dir, e.Name()), bundle.Digest{}, e, yield)
	})
}

// Stat gives the size of a published blob as it is now; false when there is none.
func (s *Survey) Stat(ctx context.Context, namespace string, digest bundle.Digest) (size int64, there bool, err error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	info, err := s.root.Lstat(blobPath(namespace, digest))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look at blob %s: %w", digest, err)
	}
	return info.Size(), info.Mode().IsRegular(), nil
}

// Open opens a published blob for reading.
func (s *Survey) Open(_ context.Context, namespace string, digest bundle.Digest) (storage.Blob, error) {
	return openBlob(s.root, namespace, digest)
}

// list calls yield with the entries of dir by name; a directory that is not
// there, or went away, has none.
func (s *Survey) list(ctx context.Context, dir string, yield func(fs.DirEntry) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list blob store: %w", err)
	}
	for _, e := range entries {
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

// tell yields a file unless it went away meanwhile.
func (s *Survey) tell(at string, digest bundle.Digest, e fs.DirEntry, yield func(storage.BlobFile) error) error {
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", at, err)
	}
	return yield(storage.BlobFile{Path: at, Digest: digest, Size: info.Size(), Modified: info.ModTime().UTC()})
}

func namespace(e fs.DirEntry) (string, bool) { return e.Name(), e.IsDir() && isHex(e.Name(), 64) }

// blobName reads the digest off a blob's name and place.
func blobName(dir string, e fs.DirEntry) (bundle.Digest, bool) {
	name := e.Name()
	if !e.Type().IsRegular() || !isHex(name, 64) || name[:2] != dir {
		return bundle.Digest{}, false
	}
	digest, err := bundle.ParseDigest("sha256:" + name)
	return digest, err == nil
}

func isHex(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
