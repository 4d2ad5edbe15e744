package verify_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

func TestFileAnswersForWhatIsNotABundle(t *testing.T) {
	dir := t.TempDir()
	trust := verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}
	good := filepath.Join(dir, "good.tar")
	require.NoError(t, os.WriteFile(good, bundletest.Build(t, bundletest.Options{}), 0o600))
	for _, c := range []struct {
		name  string
		path  string
		trust verify.Trust
		code  int
	}{
		{"good", good, trust, 0},
		{"no such file", filepath.Join(dir, "absent.tar"), trust, 4},
		{"a directory", dir, trust, 5},
		{"no key", good, nil, 4},
		{"another key", good, verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 2))}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, err := verify.File(context.Background(), c.path, c.trust)
			if c.code == 0 {
				require.NoError(t, err)
				require.Equal(t, verify.StatusVerified, report.Status)
				return
			}
			var failure *verify.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, c.code, failure.ExitCode())
			require.Equal(t, verify.StatusFailed, report.Status)
		})
	}
}

// A pipe that nobody writes to must not hold the verifier.
func TestAPipeIsRefusedAtOnce(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.pub")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	report, err := verify.File(t.Context(), pipe, verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))})
	var failure *verify.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, verify.ReasonUnreadable, failure.Reason)
	require.NotNil(t, report.Checks, "JSON says [] and not null")
	_, err = verify.LoadTrust(pipe, "")
	require.ErrorContains(t, err, "not a regular file")
}
