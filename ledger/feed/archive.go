package feed

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stella-ops/exportcenter/ledger"
)

// A member's name is a label for messages. It never becomes a path: nothing of
// an archive is written anywhere, so names that climb out of a folder or begin
// at the root, and names that occur twice, are as good as any other.

// maxMemberName bounds a name in messages, in bytes.
const maxMemberName = 512

// label makes a member's name fit for a line of a message.
func label(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, name)
	if len(name) > maxMemberName {
		name = strings.ToValidUTF8(name[:maxMemberName], "") + "..."
	}
	return name
}

// hidden reports whether a member is left out as hidden files and folders are.
func hidden(name string) bool {
	for _, part := range strings.Split(name, "/") {
		if strings.HasPrefix(part, ".") && part != "." && part != ".." || part == "__MACOSX" {
			return true
		}
	}
	return false
}

// archived is one member of an archive.
type archived struct {
	name string // as it is in the archive
	size int64
	src  io.Reader
}

// readMember reads one regular member.
func (r Reader) readMember(ctx context.Context, f file, stream string, a archived) error {
	name, lower := label(a.name), strings.ToLower(a.name)
	switch {
	case strings.HasSuffix(lower, ".jsonl"):
		return r.lines(ctx, f, stream, name+", ", a.src)
	case isArchive(lower):
		return r.reject(f.shown, name, "an archive or compressed file inside an archive is not opened; unpack it first")
	case !strings.HasSuffix(lower, ".json"):
		return r.reject(f.shown, name, notEvidence(lower, "not a .json or .jsonl file"))
	case a.size > ledger.MaxDocument:
		return r.reject(f.shown, name, fmt.Sprintf("has %d bytes, a document may have %d", a.size, ledger.MaxDocument))
	}
	reserve := min(a.size, 1<<20)
	if r.Large != nil && a.size > LargeDocument {
		if err := r.Large(); err != nil {
			return err
		}
		reserve = a.size // all at once: growing would hold it twice
	}
	raw, err := readBounded(a.src, reserve)
	if err != nil {
		return r.reject(f.shown, name, cause(err))
	}
	return r.entry(f, stream, name, raw)
}

// readBounded reads a document. What is reserved beforehand is little, unless
// somebody vouches for it: a size is cheap to claim.
func readBounded(src io.Reader, reserve int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(max(0, reserve)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(src, ledger.MaxDocument+1)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func isArchive(lower string) bool {
	for _, end := range []string{".zip", ".tar", ".tgz", ".gz", ".zst", ".bz2", ".xz", ".7z", ".jar", ".rar"} {
		if strings.HasSuffix(lower, end) {
			return true
		}
	}
	return false
}

// notEvidence is why a file is not read, by the end of its name.
func notEvidence(lower, otherwise string) string {
	for _, known := range []struct {
		reason string
		ends   []string
	}{
		{"SPDX tag-value is not supported; convert it to SPDX JSON", []string{".spdx", ".spdx.txt"}},
		{"XML is not supported; convert it to JSON", []string{".xml", ".rdf"}},
		{"YAML is not supported; convert it to JSON", []string{".yaml", ".yml"}},
	} {
		for _, end := range known.ends {
			if strings.HasSuffix(lower, end) {
				return known.reason
			}
		}
	}
	return otherwise
}
