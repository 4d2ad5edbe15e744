package again

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/mirror"
)

// stored is where the bytes of a bundle are: a file, or the directory of a mirror.
type stored interface {
	io.ReaderAt
	io.Closer
}

// opened opens what has a name: a directory is one that "stella mirror" keeps.
func opened(name string, trust verify.Trust) (stored, int64, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, refuse("%s does not exist", name)
	case err != nil:
		return nil, 0, err
	case info.IsDir():
		return held(name, trust)
	case !info.Mode().IsRegular():
		return nil, 0, fmt.Errorf("%s is not a regular file", name)
	}
	file, err := os.Open(name)
	return file, info.Size(), err
}

// held is the mirror in a directory. One that another compressor packed is no archive
// whose seal could be compared.
func held(dir string, trust verify.Trust) (stored, int64, error) {
	kept, err := mirror.Hold(dir, trust)
	if err != nil {
		return nil, 0, err
	}
	if kept.Repacked > 0 {
		return nil, 0, errors.Join(refuse("%s has %d files that another version of stella packed, so it is not the archive that was sealed: give the file of a full mirror", dir, kept.Repacked), kept.Close())
	}
	return kept, kept.Size(), nil
}
