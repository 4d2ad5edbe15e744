package adaptertest_test

import (
	"os"
	"os/exec"
	"testing"
)

// again runs tests of this package in another process.
func again(t *testing.T, tests string, environment ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", tests, "-test.timeout", "60s")
	cmd.Env = append(os.Environ(), environment...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
