package delta

import (
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
)

// Result is an entry of the target that nobody can make of the base and of documents:
// a manifest, a signature, a page.
type Result struct {
	Path    string `json:"path"`
	Content []byte `json:"content"` // base64 in its one spelling
}

// Encode gives the line of r, in RFC 8785 form, without its line feed.
func (r Result) Encode() ([]byte, error) {
	if err := bundle.CheckPath(r.Path); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLine, err)
	}
	if r.Content == nil {
		r.Content = []byte{} // null is no text
	}
	return bundle.MarshalCanonical(r)
}

// ParseResult reads what Encode writes, and nothing else.
func ParseResult(line []byte) (r Result, err error) {
	err = parseExact(line, &r, Result.Encode)
	return r, err
}
