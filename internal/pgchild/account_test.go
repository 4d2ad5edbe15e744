package pgchild

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A directory open to one of our groups only has no x for others: that is no
// reason to refuse it unless the server becomes another user.
func TestOnlyAnotherUserIsAskedWhetherItCanPass(t *testing.T) {
	closed := filepath.Join(t.TempDir(), "closed")
	require.NoError(t, os.Mkdir(closed, 0o750))
	stranger := account{name: "stranger", uid: 1<<31 - 7, gid: 1<<31 - 7}
	require.NoError(t, stranger.canReach(filepath.Join(closed, "data")))
	stranger.drop = true
	require.ErrorContains(t, stranger.canReach(filepath.Join(closed, "data")), "chmod o+x")
}
