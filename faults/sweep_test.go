package faults

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/fault"
	"github.com/stella-ops/exportcenter/storage/files"
)

// leavesStaged reports whether a staged file may be left behind: the only one who
// could remove it was told that it cannot be removed.
func (c testCase) leavesStaged() bool {
	return c.fault.Point == fault.Discard && (c.fault.Mode == fault.Fail || c.fault.Mode == fault.Hang)
}

// sweep opens the store as it is opened two hours later, when its processes have
// ended: that removes what nobody writes any more.
func (s *scene) sweep(t *testing.T) {
	t.Helper()
	unlock(s.blobs)
	later := func() time.Time { return time.Now().Add(2 * time.Hour) }
	store, err := files.Open(s.blobs, later, rand.Reader)
	require.NoError(t, err)
	store.Close()
}
