package tuf

import (
	"errors"
	"os"
	"testing"
)

// WithoutLinks is a file system that has no hard links, as FAT.
func WithoutLinks(t testing.TB) {
	was := link
	t.Cleanup(func() { link = was })
	link = func(from, to string) error {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: errors.ErrUnsupported}
	}
}
