package trivydb

import (
	"bytes"
	"strings"
)

// Lines of a packed shard, besides the document lines of package adapters. The
// first byte is the kind of line, fields are separated by a zero byte, which
// sorts before every byte a field can have; the last field is JSON.
//
//	L slug package id bucket document record   of a language
//	O root package id published document record of an operating system
//	R package id platform entry                of Red Hat
//	S bucket publisher source                  a data source
//	V id precedence document severity detail   a vulnerability
//	N note                                     of the document before
const (
	languageLine = 'L'
	systemLine   = 'O'
	redHatLine   = 'R'
	sourceLine   = 'S'
	detailLine   = 'V'
	noteLine     = 'N'
)

const separator = "\x00"

// line joins fields.
func line(kind byte, fields ...string) []byte {
	size := 1
	for _, f := range fields {
		size += len(f) + 1
	}
	to := append(make([]byte, 0, size), kind)
	for i, f := range fields {
		if i > 0 {
			to = append(to, separator...)
		}
		to = append(to, f...)
	}
	return to
}

// cut takes count fields off a line; ok is false when there are fewer.
func cut(line []byte, count int) (fields [][]byte, rest []byte, ok bool) {
	for range count {
		field, after, found := bytes.Cut(line, []byte(separator))
		if !found {
			return nil, nil, false
		}
		fields, line = append(fields, field), after
	}
	return fields, line, true
}

// maxKey bounds a name in the database. bbolt would take 32 KiB; no registry
// has names of this length.
const maxKey = 1024

// isKey reports whether name can be a key: it sorts as its bytes do.
func isKey(name string) bool {
	return name != "" && len(name) <= maxKey && strings.IndexFunc(name, func(r rune) bool { return r < ' ' }) < 0
}

// note is what a document has that the database has not.
type note struct {
	Kind     string `json:"kind"`
	Source   string `json:"source"`
	Stream   string `json:"stream"`
	ID       string `json:"id"`
	Modified string `json:"modified,omitempty"`
	// Reason says why the document gives no record; "" when it gives some.
	Reason string `json:"reason,omitempty"`
	// Left is what was left out or said less exactly.
	Left []string `json:"left,omitempty"`
}

// Reasons why a document gives no record.
const (
	reasonKind      = "not an advisory"
	reasonWithdrawn = "withdrawn"
	reasonUnread    = "not understood"
	reasonNothing   = "no package that Trivy scans"
	reasonVersions  = "no versions that Trivy compares"
)
