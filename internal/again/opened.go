package again

import (
	"errors"
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
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return held(name, trust)
	}
	file, info, err := verify.OpenRegular(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, refuse("%s does not exist", name)
	}
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
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
