package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAKilledRebuildHindersNobody: `exportcenter rebuild --from` ends by kill -9 at each
// of its steps. Its server ends with it, no process is left, and the next one with the
// same directory removes what lies there and comes to its end.
func TestAKilledRebuildHindersNobody(t *testing.T) {
	t.Parallel()
	w, p := openWorkshop(t), newPlace(t)
	w.ageless = true
	w.take(t, evidenceOfDay(t, 1))
	_, archive := w.mirror(t)
	p.keep("mirror.tar", archive)
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "key.pub"), twinKey(t).PublicKeyPEM(), 0o600))
	workbench := filepath.Join(p.dir, "scratch")
	command := func() *exec.Cmd {
		cmd := exec.Command(program(t, "exportcenter"), "rebuild", "--from", "mirror.tar", "--key", "key.pub", "--at", twinTime.Format(time.DateOnly),
			"--scratch", workbench, "--format", "json")
		cmd.Dir, cmd.Env = p.dir, []string{}
		return cmd
	}
	for _, step := range []string{"verifying", "importing", "building", "comparing"} {
		cmd := command()
		said, err := cmd.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), step) {
				break
			}
		}
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait(), "it was over before it was killed, at %s", step)
		require.Eventually(t, func() bool { return len(atWorkIn(workbench)) == 0 }, 30*time.Second, 50*time.Millisecond, "%s: a process is left", step)
	}
	left, err := filepath.Glob(filepath.Join(workbench, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, left, "kill -9 leaves the directory")
	out, err := command().Output()
	if failed := new(exec.ExitError); err != nil {
		require.ErrorAs(t, err, &failed)
		require.Equal(t, 1, failed.ExitCode(), "%s", failed.Stderr)
	}
	require.Contains(t, string(out), `"verdict": "version"`, "the workshop is of another version, and of no other payload")
	left, err = filepath.Glob(filepath.Join(workbench, "*"))
	require.NoError(t, err)
	require.Empty(t, left)
	require.Empty(t, atWorkIn(workbench))
}

// atWorkIn are the processes whose working directory is below dir, as a server's are.
func atWorkIn(dir string) (found []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && strings.HasPrefix(at, dir) {
			found = append(found, link+" "+at)
		}
	}
	return found
}
