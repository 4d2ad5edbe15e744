// Package testkit holds what tests of several rooms share: foreign programs
// and servers. Only tests import it.
package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// RequireTools is the environment variable that turns a missing foreign
// program from a skip into a failure. Continuous integration sets it to 1.
const RequireTools = "REQUIRE_TOOLS"

const modulePath = "github.com/stella-ops/exportcenter"

// Tool finds a foreign program: first in .tools/bin of the repository, where
// `make tools` puts the pinned versions, then in PATH. A test that needs a
// program which is not there is skipped by name, or fails when REQUIRE_TOOLS=1.
func Tool(t testing.TB, name string) string {
	t.Helper()
	root := Root(t)
	pinned := filepath.Join(root, ".tools", "bin", name)
	if info, err := os.Stat(pinned); err == nil && info.Mode().IsRegular() {
		return pinned
	}
	if found, err := exec.LookPath(name); err == nil {
		return found
	}
	Missing(t, name+", in .tools/bin and in PATH (run `make tools`)")
	return ""
}

// Missing skips the test naming what is not there; with REQUIRE_TOOLS=1 it
// fails, because a skipped check must not count as passed.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(RequireTools) == "1" {
		t.Fatalf("missing: %s; %s=1", what, RequireTools)
	}
	t.Skipf("missing: %s", what)
}

// Root gives the top folder of the repository.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("find the repository: %v", err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module "+modulePath+"\n") {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatalf("find the repository: no go.mod of %s above the working directory", modulePath)
		}
		dir = parent
	}
}
