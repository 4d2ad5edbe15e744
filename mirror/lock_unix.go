//go:build unix

package mirror

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// noFollow opens no symbolic link.
const noFollow = unix.O_NOFOLLOW | unix.O_NONBLOCK

// tryLock takes a lock that ends with the process, however that ends: alone, or with
// others that only read.
func tryLock(file *os.File, alone bool) (bool, error) {
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
