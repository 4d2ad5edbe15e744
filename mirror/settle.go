package mirror

import (
	"io/fs"
	"path/filepath"
)

// eachBelow calls do with path and every file and directory below it: a name has reached
// the disk when its directory has.
func eachBelow(path string, do func(path string) error) error {
	return filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() && !entry.IsDir() {
			return err
		}
		return do(path)
	})
}
