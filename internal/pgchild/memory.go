package pgchild

import (
	"os"
	"strconv"
	"strings"
)

// sharedBuffers is an eighth of the machine's memory, from 128 MB to 2 GB: the
// indexes of a large ledger are written at random places, and what does not fit
// is read and written again for every batch.
func sharedBuffers() string {
	const least, most, unknown = 128, 2048, 256
	total := memory(os.ReadFile)
	if total == 0 {
		return strconv.Itoa(unknown) + "MB"
	}
	return strconv.FormatInt(min(max(total>>20/8, least), most), 10) + "MB"
}

// memory is what this machine or container has, in bytes; 0 when nobody says.
func memory(read func(string) ([]byte, error)) (total int64) {
	if info, err := read("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if rest, found := strings.CutPrefix(line, "MemTotal:"); found {
				kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
				total = kib << 10
			}
		}
	}
	if limit, err := read("/sys/fs/cgroup/memory.max"); err == nil {
		if bytes, err := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64); err == nil && bytes > 0 && (total == 0 || bytes < total) {
			total = bytes
		}
	}
	return total
}
