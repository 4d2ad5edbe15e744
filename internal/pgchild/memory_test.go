package pgchild

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryIsTheMachinesOrTheContainers(t *testing.T) {
	const meminfo = "MemFree: 7 kB\nMemTotal:       24684084 kB\n"
	for _, tt := range []struct {
		name, meminfo, limit string
		want                 int64
	}{
		{"machine", meminfo, "", 24684084 << 10},
		{"no limit", meminfo, "max\n", 24684084 << 10},
		{"container", meminfo, "1073741824\n", 1 << 30},
		{"generous container", meminfo, "99999999999999\n", 24684084 << 10},
		{"limit only", "", "1073741824\n", 1 << 30},
		{"nobody says", "", "", 0},
		{"nonsense", "MemTotal: many kB\n", "lots", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := memory(func(path string) ([]byte, error) {
				text := map[string]string{"/proc/meminfo": tt.meminfo, "/sys/fs/cgroup/memory.max": tt.limit}[path]
				if text == "" {
					return nil, errors.New("not there")
				}
				return []byte(text), nil
			})
			require.Equal(t, tt.want, got)
		})
	}
}
