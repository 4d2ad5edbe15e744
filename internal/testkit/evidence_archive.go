package testkit

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"
)

// File is one file of an archive.
type File struct {
	Name    string
	Content []byte
}

// RealFiles gives the files of the archives of real evidence beside the project
// that match a pattern ("vex/csaf-*.tar.zst"), or skips the test and says what is
// missing.
func RealFiles(t testing.TB, pattern string) (files []File) {
	t.Helper()
	archives, err := filepath.Glob(filepath.Join(Root(t), "..", "shared", "data", pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(archives) == 0 {
		t.Skipf("missing: real evidence, ../shared/data/%s", pattern)
	}
	for _, archive := range archives {
		entries := tar.NewReader(bytes.NewReader(unpacked(t, archive)))
		for {
			head, err := entries.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(entries)
			if err != nil {
				t.Fatal(err)
			}
			if head.Typeflag == tar.TypeReg {
				files = append(files, File{filepath.Base(archive) + "/" + head.Name, content})
			}
		}
	}
	return files
}
