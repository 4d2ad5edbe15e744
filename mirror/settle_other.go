//go:build !linux

package mirror

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// settle has every file below path reach the disk.
func settle(path string) error {
	return filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(file.Sync(), file.Close())
	})
}
