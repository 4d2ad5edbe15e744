package bundle

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Listed is a line of checksums.txt.
type Listed struct {
	Path   string
	Digest Digest
}

// Checksums writes checksums.txt as sha256sum -c reads it: for every entry but
// itself and the seal, in order of path, the hex digits, two spaces, the path.
func Checksums(files []Listed) []byte {
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b Listed) int { return strings.Compare(a.Path, b.Path) })
	var out bytes.Buffer
	for _, f := range sorted {
		out.WriteString(f.Digest.Hex() + "  " + f.Path + "\n")
	}
	return out.Bytes()
}

// ParseChecksums reads what Checksums writes, and nothing else.
func ParseChecksums(raw []byte) ([]Listed, error) {
	var files []Listed
	for line := range bytes.Lines(raw) {
		digits, path, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), "  ")
		if !ok {
			return nil, fmt.Errorf("%s line %d: not <sha256>, two spaces, path", ChecksumsPath, len(files)+1)
		}
		digest, err := ParseDigest(digestPrefix + digits)
		if err != nil {
			return nil, fmt.Errorf("%s line %d: %w", ChecksumsPath, len(files)+1, err)
		}
		if err := CheckPath(path); err != nil {
			return nil, fmt.Errorf("%s line %d: %w", ChecksumsPath, len(files)+1, err)
		}
		if n := len(files); n > 0 && files[n-1].Path >= path {
			return nil, fmt.Errorf("%s line %d: %s does not come after %s", ChecksumsPath, n+1, path, files[n-1].Path)
		}
		files = append(files, Listed{path, digest})
	}
	if !bytes.Equal(Checksums(files), raw) {
		return nil, fmt.Errorf("%s: %w", ChecksumsPath, ErrNotCanonical)
	}
	return files, nil
}
