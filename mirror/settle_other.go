//go:build !linux

package mirror

import (
	"errors"
	"os"
)

// settle has every file and directory below path reach the disk, one by one.
func settle(path string) error {
	return eachBelow(path, func(path string) error {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(file.Sync(), file.Close())
	})
}
