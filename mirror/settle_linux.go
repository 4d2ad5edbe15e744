package mirror

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// settle has the file system that path is on write all that it was given: one call,
// where a mirror has a million files.
func settle(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	if err = unix.Syncfs(int(dir.Fd())); err != nil {
		err = fmt.Errorf("have the disk take %s: %w", path, err)
	}
	return errors.Join(err, dir.Close())
}
