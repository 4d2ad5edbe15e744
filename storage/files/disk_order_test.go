package files_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/storage/files"
)

// publishInto makes this test's process publish a blob and end.
const publishInto = "EXPORTCENTER_PUBLISH_INTO"

// After a power cut a blob that was acknowledged is there, whole: its bytes are
// forced to disk before it gets its name, and the name, and those of the new
// directories above it, before Publish returns. The kernel is asked what was done.
func TestDiskHasTheBlobBeforePublishReturns(t *testing.T) {
	if dir := os.Getenv(publishInto); dir != "" {
		publishOne(t, dir)
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		testkit.Missing(t, "strace (Debian package strace)")
	}
	dir, trace := filepath.Join(t.TempDir(), "blobs"), filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-y", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2,mkdirat", "-o", trace,
		os.Args[0], "-test.run=^TestDiskHasTheBlobBeforePublishReturns$", "-test.count=1")
	cmd.Env = append(os.Environ(), publishInto+"="+dir)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	raw, err := os.ReadFile(trace)
	require.NoError(t, err)

	calls := strings.Split(string(raw), "\n")
	blobs, err := filepath.Glob(filepath.Join(dir, "*", "sha256", "*", "*"))
	require.NoError(t, err)
	require.Len(t, blobs, 1)
	named := position(t, calls, `rename\w*\(.*`+regexp.QuoteMeta(filepath.Base(blobs[0])), 0)
	position(t, calls[:named], `fsync\(\d+<[^>]*/staging/`, 0)
	after := position(t, calls, `fsync\(\d+<`+regexp.QuoteMeta(filepath.Dir(blobs[0]))+`>`, named)
	require.Greater(t, after, named)
	for parent := filepath.Dir(blobs[0]); parent != dir; parent = filepath.Dir(parent) {
		made := position(t, calls, `mkdirat\(.*"`+filepath.Base(parent)+`"`, 0)
		position(t, calls, `fsync\(\d+<`+regexp.QuoteMeta(filepath.Dir(parent))+`>`, made)
	}
}

// position finds the first call from on that matches.
func position(t *testing.T, calls []string, pattern string, from int) int {
	t.Helper()
	match := regexp.MustCompile(pattern)
	for i := from; i < len(calls); i++ {
		if match.MatchString(calls[i]) {
			return i
		}
	}
	require.Fail(t, "not done", "%s, from call %d of\n%s", pattern, from, strings.Join(calls, "\n"))
	return -1
}

func publishOne(t *testing.T, dir string) {
	store, err := files.Open(dir, clock.System, rand.Reader)
	require.NoError(t, err)
	staged, err := store.Stage(t.Context(), "acme")
	require.NoError(t, err)
	_, err = staged.Write([]byte("evidence"))
	require.NoError(t, err)
	require.NoError(t, staged.Publish(t.Context()))
}
