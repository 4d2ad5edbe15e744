package bundle

import (
	"fmt"
	"io"
)

// HeaderAt reads the header of the archive entry that begins at byte at. The path is ""
// where the entries end, at the first block of zeros.
func HeaderAt(archive io.ReaderAt, at int64) (path string, size int64, err error) {
	var block [BlockSize]byte
	if err := readBlock(archive, &block, at); err != nil || block == [BlockSize]byte{} {
		return "", 0, err
	}
	return ParseHeader(block)
}

// readBlock wants a whole block: less is an error that wraps io.ErrUnexpectedEOF.
func readBlock(archive io.ReaderAt, block *[BlockSize]byte, at int64) error {
	n, err := archive.ReadAt(block[:], at)
	switch {
	case n == len(block):
		return nil
	case err == nil || err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("archive: header at byte %d: %w", at, err)
}

// Walk calls yield with every entry of an archive: its path, and where its content
// begins. It reads headers only, for archives that were verified already: what lies
// between them and behind the last, it does not look at.
func Walk(archive io.ReaderAt, yield func(path string, from, size int64) error) error {
	for at := int64(0); ; {
		path, size, err := HeaderAt(archive, at)
		if err != nil || path == "" {
			return err
		}
		if err := yield(path, at+BlockSize, size); err != nil {
			return err
		}
		at += EntrySize(size)
	}
}

// SaysEncrypted reports whether an archive has the entry that says how it is encrypted.
// Nothing of it is verified: it is for telling people what to do first.
func SaysEncrypted(archive io.ReaderAt) bool {
	for at := int64(0); ; {
		path, size, err := HeaderAt(archive, at)
		if err != nil || path == "" || path == EncryptionPath || PathBefore(EncryptionPath, path) {
			return err == nil && path == EncryptionPath
		}
		at += EntrySize(size)
	}
}
