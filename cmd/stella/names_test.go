package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/internal/devissuer"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// filesBelow are the files and directories below dir, by their names from there.
func filesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		require.NoError(t, err)
		name, err := filepath.Rel(dir, path)
		names = append(names, name)
		return err
	}))
	return names
}

// The names of logins and profiles are names of files, and those that do not do for that
// are refused before any is touched.
func TestNamesOfContexts(t *testing.T) {
	dir := clean(t)
	config := filepath.Join(dir, "home")
	t.Setenv("STELLA_CONFIG_DIR", config)
	w, register := frontendtest.WithLogin(t, func(c *frontend.Config) { c.RequireDPoP, c.PublicURL = true, "http://127.0.0.1" })
	t.Setenv("STELLA_CLIENT_SECRET", register(devissuer.Client{ID: "ci", Tenant: "acme", Roles: []export.Role{export.RoleViewer}}))
	before := filesBelow(t, dir)
	folded := map[string]string{}
	logins := 0
	for _, name := range testkit.Names() {
		if strings.ContainsRune(name, 0) || len(name) > 100_000 {
			continue // the system does not pass it on
		}
		path, err := configPath("contexts", name, "")
		if !export.ValidTenant(name) {
			require.Equal(t, exitInput, exitCode(err), "%.80q", name)
			if name == "" {
				continue // the default one
			}
			for _, args := range [][]string{
				{"login", "--server", w.URL, "--client-id", "ci", "--context", name}, {"logout", "--context", name},
				{"whoami", "--context", name}, {"whoami", "--profile", name}, {"verify", "x", "--context", name},
			} {
				_, err := stella(t, args...)
				require.Error(t, err, "%.80q", args)
				require.ErrorContains(t, err, "want 1 to 63 lower-case letters")
			}
			t.Setenv("STELLA_CONTEXT", name)
			_, err := stella(t, "whoami")
			require.Equal(t, exitInput, exitCode(err), "%.80q", name)
			t.Setenv("STELLA_CONTEXT", "")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, filepath.Join(config, "contexts"), filepath.Dir(path))
		require.Empty(t, folded[strings.ToLower(path)])
		folded[strings.ToLower(path)] = name
		if logins++; logins <= 3 {
			_, err := stella(t, "login", "--server", w.URL, "--client-id", "ci", "--context", name)
			require.NoError(t, err)
			require.FileExists(t, filepath.Join(path, keyFile))
		}
	}
	require.Greater(t, logins, 10)
	for _, name := range filesBelow(t, dir) {
		if !slices.Contains(before, name) {
			require.Regexp(t, `\Ahome(/contexts(/[a-z0-9-]+(/(context\.json|secret|key\.pem|token\.json))?)?)?\z`, name)
		}
	}
}

// A download is written to a name made of a run's id, and an id is nothing else: what a
// server says a run is called is not asked.
func TestNamesOfDownloads(t *testing.T) {
	dir := clean(t)
	server := newCalled(t)
	t.Setenv("STELLA_SERVER", server.URL)
	t.Setenv("STELLA_TOKEN", "token")
	t.Chdir(t.TempDir())
	var takeRuns []*cobra.Command
	for _, command := range everyCommand(rootCommand()) {
		if strings.HasSuffix(command.Use, " RUN") {
			takeRuns = append(takeRuns, command)
		}
	}
	require.Len(t, takeRuns, 11)
	for _, name := range testkit.Names() {
		for _, id := range []string{name, aRun + name, name + aRun, name + "/" + aRun, aRun + "/" + name} {
			for _, command := range takeRuns {
				err := command.Args(command, []string{id})
				require.Equal(t, id != aRun, exitCode(err) == exitInput, "%s %.80q", command.Name(), id)
			}
		}
		_, err := stella(t, "export", "download", "--", name)
		require.Equal(t, exitInput, exitCode(err), "%.80q", name)
	}
	require.Zero(t, server.calls, "nothing of it becomes part of a path")
	_, err := stella(t, "export", "download", aRun)
	require.Equal(t, exitNotFound, exitCode(err))
	left, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, left)
	require.Len(t, filesBelow(t, dir), 2)
}
