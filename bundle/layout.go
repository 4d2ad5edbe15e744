package bundle

import (
	"errors"
	"fmt"
	"strings"
)

// Paths of the entries every bundle has.
const (
	ManifestPath           = "manifests/export.json"
	ProvenancePath         = "manifests/provenance.json"
	ManifestBundlePath     = "signatures/export.sigstore.json"
	ManifestEnvelopePath   = "signatures/export.dsse.json"
	ProvenanceBundlePath   = "signatures/provenance.sigstore.json"
	ProvenanceEnvelopePath = "signatures/provenance.dsse.json"
	SealPath               = "signatures/seal.dsse.json"
	ChecksumsPath          = "checksums.txt"
	ReadmePath             = "README.md"
	GuidePath              = "VERIFY.md"
	// PayloadDir holds evidence and decisions; IsPayload knows what PayloadDigest covers.
	PayloadDir = "data/"
)

// Payload types of the DSSE envelopes, and the media types of the files.
const (
	ManifestPayloadType  = "application/vnd.stellaops.export.manifest+json"
	StatementPayloadType = "application/vnd.in-toto+json"
	SealPayloadType      = "application/vnd.stellaops.export.seal+json"
	// PayloadContentType is the media type of a payload file: lines of JSON in
	// one zstd frame (RFC 8878 registers the suffix).
	PayloadContentType = "application/x-ndjson+zstd"
	// ArchiveContentType is the media type of the whole bundle.
	ArchiveContentType = "application/x-tar"
)

// FixedPaths lists the entries every bundle has, in archive order.
func FixedPaths() []string {
	return []string{
		ReadmePath, GuidePath, ChecksumsPath,
		ManifestPath, ProvenancePath,
		ManifestEnvelopePath, ManifestBundlePath,
		ProvenanceEnvelopePath, ProvenanceBundlePath,
		SealPath,
	}
}

// PathBefore reports whether the entry at a comes before the one at b:
// bytewise, the seal after everything, and the seal around an encrypted bundle
// after that.
func PathBefore(a, b string) bool {
	if x, y := pathRank(a), pathRank(b); x != y {
		return x < y
	}
	return a < b
}

func pathRank(path string) int {
	switch path {
	case OuterSealPath:
		return 2
	case SealPath:
		return 1
	}
	return 0
}

// ErrPath is wrapped by what CheckPath returns.
var ErrPath = errors.New("not a path of a bundle")

// CheckPath accepts the paths a bundle may have: relative, of segments made of
// ASCII letters, digits, ".", "_" and "-", none of them "." or "..". Such a
// path means the same on every file system and can never leave a directory.
func CheckPath(path string) error {
	if path == "" || len(path) > prefixField+1+nameField {
		return fmt.Errorf("%w: %.300q has %d bytes", ErrPath, path, len(path))
	}
	for _, segment := range strings.Split(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("%w: %q has the segment %q", ErrPath, path, segment)
		}
	}
	for i := 0; i < len(path); i++ {
		if c := path[i]; !isAlnum(c) && c != '.' && c != '_' && c != '-' && c != '/' {
			return fmt.Errorf("%w: %q has the byte 0x%02x at %d", ErrPath, path, c, i)
		}
	}
	return nil
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// IsSignature reports whether path is of a signature, of whatever the bundle says.
func IsSignature(path string) bool { return strings.HasPrefix(path, "signatures/") }
