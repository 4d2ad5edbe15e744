package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
)

// ArchiveHash is the state after hashing an archive up to its seal: the seal
// can be made from Prefix, and Complete gives the whole archive's digest
// without reading anything again.
type ArchiveHash struct {
	hash  hash.Hash
	bytes int64
}

// ErrRotten is wrapped when a blob's bytes are not those its digest names.
var ErrRotten = errors.New("stored bytes differ from their digest")

// HashArchive hashes the archive of members, all entries but the seal, in one
// streaming pass, and each blob on the way: an archive over bytes that have
// changed in the store is never sealed. It stops when ctx ends.
func HashArchive(ctx context.Context, members []Member, open func(Member) (Source, error)) (*ArchiveHash, error) {
	view, err := NewPrefixView(members, open) // checks order and paths
	if err != nil {
		return nil, err
	}
	if err := view.Close(); err != nil {
		return nil, err
	}
	a := &ArchiveHash{hash: sha256.New(), bytes: view.Size()}
	buffer := make([]byte, 256<<10)
	for _, m := range members {
		if err := a.add(ctx, m, open, buffer); err != nil {
			return nil, fmt.Errorf("hash archive: %s: %w", m.Path, err)
		}
	}
	return a, nil
}

// add hashes one entry: header, blob, padding.
func (a *ArchiveHash) add(ctx context.Context, m Member, open func(Member) (Source, error), buffer []byte) error {
	header, err := m.header()
	if err != nil {
		return err
	}
	a.hash.Write(header)
	source, err := open(m)
	if err != nil {
		return err
	}
	defer source.Close()
	own := sha256.New()
	content := &stoppable{ctx, io.NewSectionReader(source, 0, m.Size)}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(a.hash, own)}, content, buffer)
	switch {
	case err != nil:
		return err
	case n < m.Size:
		return fmt.Errorf("%w: %d of %d bytes", ErrShortBlob, n, m.Size)
	case Digest(own.Sum(nil)) != m.Digest:
		return fmt.Errorf("%w: want %s, got %s", ErrRotten, m.Digest, Digest(own.Sum(nil)))
	}
	a.hash.Write(make([]byte, m.padding()))
	return nil
}

// stoppable is a reader that ends with its context.
type stoppable struct {
	ctx context.Context
	io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

// Prefix is the digest and length of the bytes before the seal's header.
func (a *ArchiveHash) Prefix() (Digest, int64) { return Digest(a.hash.Sum(nil)), a.bytes }

// Complete gives digest and length of the whole archive whose seal entry is
// envelope. It may be called again with another.
func (a *ArchiveHash) Complete(envelope []byte) (Digest, int64, error) {
	return a.CompleteAt(SealPath, envelope)
}

// CompleteAt is Complete for a last entry at path: OuterSealPath around an encrypted
// bundle.
func (a *ArchiveHash) CompleteAt(path string, envelope []byte) (Digest, int64, error) {
	tail, err := lastEntry(path, envelope)
	if err != nil {
		return Digest{}, 0, err
	}
	cloner, ok := a.hash.(hash.Cloner)
	if !ok {
		return Digest{}, 0, errors.New("hash archive: this SHA-256 cannot be continued twice")
	}
	h, err := cloner.Clone()
	if err != nil {
		return Digest{}, 0, fmt.Errorf("hash archive: %w", err)
	}
	h.Write(tail)
	return Digest(h.Sum(nil)), a.bytes + int64(len(tail)), nil
}

// SealEntry gives the last bytes of an archive: the seal's header, its
// envelope, padding and the two zero blocks.
func SealEntry(envelope []byte) ([]byte, error) { return lastEntry(SealPath, envelope) }

func lastEntry(path string, envelope []byte) ([]byte, error) {
	size := int64(len(envelope))
	header, err := Header(path, size)
	if err != nil {
		return nil, err
	}
	var tail bytes.Buffer
	tail.Write(header[:])
	tail.Write(envelope)
	tail.Write(make([]byte, padding(size)+TrailerSize))
	return tail.Bytes(), nil
}
