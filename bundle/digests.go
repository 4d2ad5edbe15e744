package bundle

import (
	"crypto/sha256"
	"io"
	"slices"
	"strings"
)

// PayloadDigest says what "the same bytes" means: two bundles carry the same
// payload exactly when their payload digests are equal (CONTRACT ruling 5).
//
// It is the SHA-256 over, for each payload file in order of path,
//
//	<path> LF <64 lower-case hex digits of the file's SHA-256> LF
//
// over the stored (compressed) files. The digits have no "sha256:" prefix: the
// same lines come out of sha256sum with any tool. No files give SHA-256("").
func PayloadDigest(contents []Content) Digest {
	sorted := slices.Clone(contents)
	slices.SortFunc(sorted, func(a, b Content) int { return strings.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, c := range sorted {
		io.WriteString(h, c.Path+"\n"+c.Digest.Hex()+"\n")
	}
	return Digest(h.Sum(nil))
}

// RerunHash is the contract's older measure of sameness: SHA-256 over the
// files' digests, written "sha256:<hex>", sorted, joined by a single LF with
// none at the end. It does not see names; PayloadDigest does.
func RerunHash(contents []Content) Digest {
	digests := make([]string, len(contents))
	for i, c := range contents {
		digests[i] = c.Digest.String()
	}
	slices.Sort(digests)
	return DigestOf([]byte(strings.Join(digests, "\n")))
}
