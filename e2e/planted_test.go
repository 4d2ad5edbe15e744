//go:build planted

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
)

// TestPlantedBugs plants every bug of the list, one at a time, into a copy of
// the tree, and wants the tests that are to notice it to fail: a test that passes
// whatever the code does holds nothing. BUG=text plants those whose name has it.
func TestPlantedBugs(t *testing.T) {
	tree := copyOfTheTree(t)
	caught := 0
	for _, bug := range plantedBugs {
		if !strings.Contains(bug.name, os.Getenv("BUG")) {
			continue
		}
		t.Run(bug.name, func(t *testing.T) {
			path := filepath.Join(tree, bug.file)
			sound, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, 1, bytes.Count(sound, []byte(bug.old)))
			require.NoError(t, os.WriteFile(path, bytes.Replace(sound, []byte(bug.old), []byte(bug.new), 1), 0o644))
			defer func() { require.NoError(t, os.WriteFile(path, sound, 0o644)) }()
			failed := failing(t, tree, bug)
			require.NotEmpty(t, failed, "nobody noticed")
			caught++
			t.Logf("| %s | `%s` | %s |", bug.name, bug.file, strings.Join(failed, ", "))
		})
	}
	t.Logf("%d bugs planted and caught", caught)
}

var failedTest = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// failing runs the tests that are to notice a bug and names those that did. That
// it cannot be built is not noticing.
func failing(t *testing.T, tree string, bug plantedBug) (names []string) {
	t.Helper()
	cmd := exec.Command("go", "test", bug.pkg, "-count=1", "-timeout", "5m", "-run", bug.run)
	cmd.Dir = tree
	out, err := cmd.CombinedOutput()
	require.NotContains(t, string(out), "[build failed]")
	require.NotContains(t, string(out), "[setup failed]")
	require.NotContains(t, string(out), "no tests to run")
	if err == nil {
		return nil
	}
	for _, match := range failedTest.FindAllStringSubmatch(string(out), -1) {
		names = append(names, "`"+match[1]+"`")
	}
	require.NotEmpty(t, names, "it failed, and no test says so:\n%s", out)
	return names
}

// copyOfTheTree copies what git knows of, as it is now.
func copyOfTheTree(t *testing.T) string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z")
	list.Dir = repository
	out, err := list.Output()
	if err != nil {
		testkit.Missing(t, "git, or the history of this checkout")
	}
	tree := filepath.Join(t.TempDir(), "tree")
	for _, name := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		from, to := filepath.Join(repository, name), filepath.Join(tree, name)
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		info, err := os.Stat(from)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
		require.NoError(t, os.WriteFile(to, content, info.Mode().Perm()))
	}
	return tree
}
