package delta

import (
	"fmt"
	"io"

	"github.com/stella-ops/exportcenter/bundle"
)

// Originals reads a list of originals, which must be in the order of an archive.
type Originals struct {
	*Files
	last string
	at   bundle.Original
}

// maxOriginalLine is more than a line about an original takes.
const maxOriginalLine = 1 << 10

// NewOriginals reads the originals of files.
func NewOriginals(files *Files) *Originals {
	files.longest = maxOriginalLine
	return &Originals{Files: files}
}

// Next is List's.
func (o *Originals) Next() (*bundle.Original, error) {
	line, err := o.Files.Next()
	if err == io.EOF {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if o.at, err = bundle.ParseOriginal(line); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", o.Where(), ErrLine, err)
	}
	if o.at.Path <= o.last {
		return nil, fmt.Errorf("%s: %w: %s does not come after %s", o.Where(), ErrLine, o.at.Path, o.last)
	}
	o.last = o.at.Path
	return &o.at, nil
}

// Place is List's.
func (o *Originals) Place() (string, error) { return o.at.Path, nil }
