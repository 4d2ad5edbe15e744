package mirror

import (
	"errors"
	"os"
)

// openRegular opens a regular file, and no link to one: what a link leads to may change
// without anything in the directory.
func openRegular(path string) (*os.File, os.FileInfo, error) {
	info, err := os.Lstat(path) // opening a pipe would wait for somebody who writes to it
	if err == nil && !info.Mode().IsRegular() {
		err = irregular(path)
	}
	if err != nil {
		return nil, nil, err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, nil, err
	}
	if info, err = file.Stat(); err == nil && !info.Mode().IsRegular() {
		err = irregular(path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}

func irregular(path string) error {
	return spoilt("%s is no regular file", path)
}
