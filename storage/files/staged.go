package files

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path"

	"github.com/stella-ops/exportcenter/bundle"
)

// errEnded: the blob was published or discarded before.
var errEnded = errors.New("the staged blob has ended")

// staged is a blob being written. It belongs to one goroutine.
type staged struct {
	store     *Store
	namespace string
	name      string
	file      *os.File // nil once ended
	hash      hash.Hash
	size      int64
}

func (b *staged) Write(p []byte) (int, error) {
	if b.file == nil {
		return 0, fmt.Errorf("write blob: %w", errEnded)
	}
	n, err := b.file.Write(p)
	b.hash.Write(p[:n]) //nolint:errcheck // never fails (hash.Hash)
	b.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("write blob: %w", inWords(err))
	}
	return n, nil
}

func (b *staged) Digest() (bundle.Digest, int64) {
	return bundle.Digest(b.hash.Sum(nil)), b.size
}

// Publish gives the bytes their name once they are on disk. After an error the
// blob is still staged; Discard removes it.
func (b *staged) Publish(ctx context.Context) error {
	digest, _ := b.Digest()
	if b.file == nil {
		return fmt.Errorf("publish blob %s: %w", digest, errEnded)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("publish blob %s: %w", digest, err)
	}
	if err := b.publish(ctx, digest); err != nil {
		return fmt.Errorf("publish blob %s: %w", digest, inWords(err))
	}
	return b.close()
}

func (b *staged) publish(ctx context.Context, digest bundle.Digest) error {
	target := blobPath(b.namespace, digest)
	dir := path.Dir(target)
	if err := b.store.ensureDir(dir); err != nil {
		return err
	}
	if err := b.store.passErasers(ctx, b.namespace); err != nil {
		return err
	}
	there, err := b.store.has(target, digest, b.size)
	if err != nil {
		return err
	}
	if there {
		if err := b.store.root.Remove(b.name); err != nil {
			return err
		}
	} else if err := b.rename(target); err != nil {
		return err
	}
	// Also when it was there: whoever renamed it may not have come this far.
	return b.store.syncDir(dir)
}

func (b *staged) rename(target string) error {
	if err := b.file.Chmod(0o444); err != nil {
		return err
	}
	if err := b.file.Sync(); err != nil {
		return err
	}
	return b.store.root.Rename(b.name, target)
}

// Discard destroys what was written; after Publish it does nothing.
func (b *staged) Discard() error {
	if b.file == nil {
		return nil
	}
	err := b.store.root.Remove(b.name)
	if errors.Is(err, fs.ErrNotExist) { // a Publish that failed at its last step
		err = nil
	}
	if err := errors.Join(err, b.close()); err != nil {
		return fmt.Errorf("discard staged blob: %w", err)
	}
	return nil
}

func (b *staged) close() error {
	file := b.file
	b.file = nil
	return file.Close()
}
