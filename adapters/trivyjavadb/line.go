package trivyjavadb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/artifact"
)

// Lines of a packed shard, besides the document lines of package adapters. The
// first byte is the kind of line; fields are separated by a tab, which sorts
// before every byte that a field can have.
//
//	N note                                     of the document before
//	A sha1 group artifact version type         an archive it names, each once, sorted
const (
	noteLine     = 'N'
	archiveLine  = 'A'
	separator    = "\t"
	archiveParts = 5
)

// note is what else is known of a document.
type note struct {
	Kind     string `json:"kind"`
	Source   string `json:"source"`
	Stream   string `json:"stream"`
	Modified string `json:"modified,omitempty"`
	// Left counts the archives with a SHA-1 that are in no form Trivy looks for.
	Left int64 `json:"left,omitempty"`
	// Unread says why nothing is read of the document.
	Unread string `json:"unread,omitempty"`
}

func encode(n note) ([]byte, error) {
	text, err := json.Marshal(n)
	return append([]byte{noteLine}, text...), err
}

func lineOf(a artifact.Artifact) string {
	return string(archiveLine) + strings.Join([]string{a.SHA1, a.GroupID, a.ArtifactID, a.Version, a.Type}, separator)
}

// checkArchive makes sure of the fields of a line that comes back.
func checkArchive(line []byte) error {
	fields := bytes.Split(line, []byte(separator))
	if len(fields) != archiveParts || !artifact.IsSHA1(string(fields[0])) {
		return fmt.Errorf("a line of an archive is not of %d fields, the first a SHA-1", archiveParts)
	}
	return nil
}
