package supervise

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// A log that has grown past maxLog is set aside as <name>.1 when its child is
// started; one older one is kept.
const maxLog = 16 << 20

func openLog(path string) (*os.File, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.Size() > maxLog:
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("set the old log aside: %w", err)
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return file, nil
}

// tailBytes bounds what Tail reads.
const tailBytes = 16 << 10

// Tail gives the last lines of a log, for somebody who wants to know why its
// child died. A log that cannot be read is said instead.
func Tail(path string, lines int) string {
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err.Error()
	}
	raw := make([]byte, min(end, tailBytes))
	if _, err := file.ReadAt(raw, end-int64(len(raw))); err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
