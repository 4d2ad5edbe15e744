//go:build unix

package again

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// A pipe that nobody writes to must not hold a rebuild.
func TestAPipeIsNoMirror(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "mirror.tar")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	_, err := openVerified(t.Context(), pipe, verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}, verify.MirrorPolicy{})
	require.ErrorContains(t, err, "not a regular file")
}
