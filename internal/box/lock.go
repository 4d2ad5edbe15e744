package box

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// lock is the right to run a data directory: an exclusive flock(2) on up.lock,
// which the kernel releases however the holder ends. The file names the
// holder; a clean end empties it.
type lock struct {
	file *os.File
	// resumed: the last holder was killed.
	resumed bool
}

// acquire takes the lock, or says who has it.
func acquire(path string) (*lock, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := flock(file); err != nil {
		defer file.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, fmt.Errorf("another `exportcenter up` (pid %s) is running on this data directory (it holds %s): "+
			"stop it first, or give another --data", holder(file), path)
	}
	l := &lock{file: file, resumed: holder(file) != unknownHolder}
	if err := l.write(strconv.Itoa(os.Getpid()) + "\n"); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// flock tries for a second: the kernel drops the lock of a killed holder only
// when the last of its threads is gone, a moment after its children are.
func flock(file *os.File) error {
	var err error
	for range 20 {
		if err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

const unknownHolder = "unknown"

// holder is the pid in the file. The holder locks first and writes then, so a
// moment's patience finds it.
func holder(file *os.File) string {
	raw := make([]byte, 32)
	for range 10 {
		n, _ := file.ReadAt(raw, 0) // a short read is an error too; n says it all
		if pid := bytes.TrimSpace(raw[:n]); len(pid) > 0 {
			return string(pid)
		}
		time.Sleep(time.Millisecond)
	}
	return unknownHolder
}

func (l *lock) write(content string) error {
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	if _, err := l.file.WriteAt([]byte(content), 0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	return nil
}

// clean notes that everything was stopped in order.
func (l *lock) clean() {
	l.write("") //nolint:errcheck // the next start then looks twice, no more
}

// release lets the next one in.
func (l *lock) release() {
	l.file.Close() //nolint:errcheck // the kernel drops the lock with the descriptor
}
