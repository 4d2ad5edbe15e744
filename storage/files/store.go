package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/storage"
)

const (
	stagingDir   = "staging"
	publishedDir = "sha256"
	// abandonedAfter is the silence after which a staged file has no writer any
	// more, where the filesystem has no locks to tell.
	abandonedAfter = time.Hour
)

// Store is a blob store on a filesystem. It is safe for concurrent use, also
// by several processes on the same directory.
type Store struct {
	root *os.Root

	mu     sync.Mutex      // guards what follows
	random io.Reader       // names staged files
	ready  map[string]bool // directories known to exist durably
}

var _ storage.Objects = (*Store)(nil)

// Open opens the store in dir, makes dir when it is missing, and removes
// staged files whose writer is gone.
func Open(dir string, now clock.Clock, random io.Reader) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	s := &Store{root: root, random: random, ready: map[string]bool{}}
	if err := s.sweepStaging(now().Add(-abandonedAfter)); err != nil {
		return nil, errors.Join(fmt.Errorf("open blob store %s: %w", dir, err), root.Close())
	}
	return s, nil
}

// Close releases the directory. Blobs that are open stay readable.
func (s *Store) Close() error { return s.root.Close() }

// Stage begins a blob.
func (s *Store) Stage(ctx context.Context, tenant string) (storage.Staged, error) {
	if err := begin(ctx, tenant); err != nil {
		return nil, fmt.Errorf("stage blob: %w", err)
	}
	namespace := storage.Namespace(tenant)
	file, name, err := s.create(path.Join(namespace, stagingDir))
	if err != nil {
		return nil, fmt.Errorf("stage blob: %w", inWords(err))
	}
	return &staged{store: s, namespace: namespace, name: name, file: file, hash: sha256.New()}, nil
}

// Open opens a published blob. Its bytes are not checked here: a caller who reads
// all of them compares the digest, others open it by storage.OpenVerified.
func (s *Store) Open(ctx context.Context, tenant string, digest bundle.Digest) (storage.Blob, error) {
	if err := begin(ctx, tenant); err != nil {
		return nil, fmt.Errorf("open blob %s: %w", digest, err)
	}
	return openBlob(s.root, storage.Namespace(tenant), digest)
}

func openBlob(root *os.Root, namespace string, digest bundle.Digest) (storage.Blob, error) {
	file, err := root.Open(blobPath(namespace, digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open blob %s: %w", digest, storage.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", digest, err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: not a regular file", storage.ErrCorrupt)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open blob %s: %w", digest, err), file.Close())
	}
	return blob{file: file, size: info.Size()}, nil
}

// create makes a new file with a random name in dir and holds its lock until
// the file is closed.
func (s *Store) create(dir string) (*os.File, string, error) {
	if err := s.ensureDir(dir); err != nil {
		return nil, "", err
	}
	random := make([]byte, 16)
	s.mu.Lock()
	_, err := io.ReadFull(s.random, random)
	s.mu.Unlock()
	if err != nil {
		return nil, "", fmt.Errorf("choose a name: %w", err)
	}
	unlock, err := s.lockDir(dir, syscall.LOCK_SH)
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	name := path.Join(dir, hex.EncodeToString(random))
	file, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, "", err
	}
	lock(file, syscall.LOCK_EX|syscall.LOCK_NB) //nolint:errcheck // as above
	return file, name, nil
}

// begin checks what every operation needs.
func begin(ctx context.Context, tenant string) error {
	if !export.ValidTenant(tenant) {
		return export.Errorf(export.CodeTenantRequired, "tenant %.80q is not a tenant name", tenant)
	}
	return ctx.Err()
}

func blobPath(namespace string, digest bundle.Digest) string {
	hex := digest.Hex()
	return path.Join(namespace, publishedDir, hex[:2], hex)
}

// blob is a published blob, open for reading.
type blob struct {
	file *os.File
	size int64
}

func (b blob) ReadAt(p []byte, off int64) (int, error) { return b.file.ReadAt(p, off) }
func (b blob) Close() error                            { return b.file.Close() }
func (b blob) Size() int64                             { return b.size }
