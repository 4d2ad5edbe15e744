package files

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
)

func TestAFullDiskIsSaid(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		err := inWords(&fs.PathError{Op: "write", Path: "staging/x", Err: cause})
		require.Equal(t, export.CodeUnavailable, export.CodeOf(err))
		require.True(t, export.ClassOf(err).Retryable(), "space may be freed")
		require.ErrorIs(t, err, cause)
	}
	other := &fs.PathError{Op: "write", Path: "staging/x", Err: syscall.EIO}
	require.Equal(t, error(other), inWords(other))
	require.NoError(t, inWords(nil))
}
