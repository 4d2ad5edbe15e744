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

// HashArchive hashes the archive of members, all entries but the seal, in one
// streaming pass. It stops when ctx ends.
func HashArchive(ctx context.Context, members []Member, open func(Member) (Source, error)) (*ArchiveHash, error) {
	view, err := NewPrefixView(members, open)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	h := sha256.New()
	buffer := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := view.Read(buffer)
		h.Write(buffer[:n])
		if errors.Is(err, io.EOF) {
			return &ArchiveHash{hash: h, bytes: view.Size()}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("hash archive: %w", err)
		}
	}
}

// Prefix is the digest and length of the bytes before the seal's header.
func (a *ArchiveHash) Prefix() (Digest, int64) { return Digest(a.hash.Sum(nil)), a.bytes }

// Complete gives digest and length of the whole archive whose seal entry is
// envelope. It may be called again with another.
func (a *ArchiveHash) Complete(envelope []byte) (Digest, int64, error) {
	tail, err := SealEntry(envelope)
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
func SealEntry(envelope []byte) ([]byte, error) {
	size := int64(len(envelope))
	header, err := Header(SealPath, size)
	if err != nil {
		return nil, err
	}
	var tail bytes.Buffer
	tail.Write(header[:])
	tail.Write(envelope)
	tail.Write(make([]byte, padding(size)+TrailerSize))
	return tail.Bytes(), nil
}
