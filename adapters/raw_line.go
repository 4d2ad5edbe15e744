package adapters

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// RawLine is what a line of json:raw says of its document (docs/formats/json-raw.md).
type RawLine struct {
	// Evidence is the document's canonical form, within the line.
	Evidence []byte
	bundle.RawLine
}

// Key is the document's place in an export (ledger.Row.Key).
func (l RawLine) Key() string {
	return ledger.Row{Kind: ledger.Kind(l.Kind), Subject: l.Subject, UpstreamID: l.UpstreamID, Source: l.Source, Stream: l.Stream}.Key()
}

// OriginalPath is where a mirror has the document's original.
func (l RawLine) OriginalPath() string { return bundle.OriginalPath(l.Kind, l.Original.Digest) }

// ReadRawLine reads a line of json:raw, without its line feed. What is not exactly of
// its form is an error.
func ReadRawLine(line []byte) (l RawLine, err error) {
	if !bytes.HasPrefix(line, []byte(RawStart)) {
		return l, fmt.Errorf("line of evidence: does not begin with %s", RawStart)
	}
	rest := line[len(RawStart):]
	n := objectLength(rest)
	if n == 0 || !bytes.HasPrefix(rest[n:], []byte("},")) {
		return l, errors.New("line of evidence: has something beside its evidence")
	}
	// For the comma: the members behind content are an object.
	members := append([]byte{'{'}, rest[n+2:]...)
	if err := bundle.UnmarshalStrict(members, &l.RawLine); err != nil {
		return l, fmt.Errorf("line of evidence, behind it: %w", err)
	}
	l.Evidence = rest[:n]
	return l, nil
}

// objectLength is how many bytes the JSON object at the begin of b takes, 0 when it
// has no end.
func objectLength(b []byte) int {
	depth, text, escape := 0, false, false
	for i, c := range b {
		switch {
		case escape:
			escape = false
		case text:
			text, escape = c != '"', c == '\\'
		case c == '"':
			text = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}
