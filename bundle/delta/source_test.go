package delta_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/delta"
)

// endless is a line that nothing ends, as a small packed file may hold one. It counts
// what is asked of it.
type endless struct{ given int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.given += len(p)
	return len(p), nil
}

// only is a list of one file.
func only(file io.Reader) *delta.Files {
	return delta.NewFiles(func(int) string { return "the file" }, func(i int) (io.ReadCloser, error) {
		if i > 0 {
			return nil, io.EOF
		}
		return io.NopCloser(file), nil
	})
}

func TestALineThatDoesNotEnd(t *testing.T) {
	next := map[string]func(f *delta.Files) error{
		"more than 1024 bytes": func(f *delta.Files) error {
			_, err := delta.NewOriginals(f).Next()
			return err
		},
		"more than 4096 bytes": func(f *delta.Files) error {
			_, err := delta.NewDocuments(f.Bounded(4096)).Next()
			return err
		},
		"more than 2048 bytes": func(f *delta.Files) error {
			_, err := delta.NewRemovals(f.Bounded(2048)).Next()
			return err
		},
	}
	for says, read := range next {
		file := &endless{}
		err := read(only(file))
		require.ErrorIs(t, err, delta.ErrLine)
		require.ErrorContains(t, err, "the file: line 1: ")
		require.ErrorContains(t, err, says)
		require.LessOrEqual(t, file.given, 128<<10)
	}
}

// The longest lines that may be there are read.
func TestTheLongestLine(t *testing.T) {
	line := strings.Repeat("x", 200<<10)
	text, err := only(strings.NewReader(line + "\n" + line + "\n")).Bounded(len(line)).Next()
	require.NoError(t, err)
	require.Equal(t, line, string(text))
	_, err = only(strings.NewReader(line + "y\n")).Bounded(len(line)).Next()
	require.ErrorIs(t, err, delta.ErrLine)

	// No original has a longer line than this.
	o := bundle.Original{Path: bundle.OriginalPath(strings.Repeat("k", 20), bundle.Digest{1}), Bytes: bundle.MaxOriginal}
	read, err := delta.NewOriginals(only(strings.NewReader(fmt.Sprintf("%s\n", o.Append(nil))))).Next()
	require.NoError(t, err)
	require.Equal(t, o, *read)
}
