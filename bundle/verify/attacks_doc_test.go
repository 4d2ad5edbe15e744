package verify_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/verify"
)

// TestAttackPageNamesWhatThereIs: every test, mutation and reason that the page
// names is there under that name; of the metadata of mirrors each reason is named.
func TestAttackPageNamesWhatThereIs(t *testing.T) {
	page, err := os.ReadFile("../../docs/formats/attacks.md")
	require.NoError(t, err)
	sources := textOf(t, "*_test.go", "../../cmd/stella/*_test.go", "../../e2e/*_test.go", "../../house_test.go", "../../tuf/*_test.go", "../../mirror/*_test.go")
	cases := textOf(t, "../../tuf/*_test.go", "tuf_test.go")
	known := map[string]bool{"FAULTS=all": true, "code": true}
	for _, m := range allMutations() {
		known[m.name], known[string(m.reason)] = true, true
	}
	for _, r := range append(reasons(t), "roots") {
		known[r] = true
	}
	for _, r := range []verify.Reason{verify.ReasonTUF, verify.ReasonTUFSignature, verify.ReasonTUFRoot, verify.ReasonExpired, verify.ReasonRollback, verify.ReasonNoMirror} {
		require.Contains(t, string(page), "`"+string(r)+"`")
	}
	tests := 0
	for _, row := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(string(page), -1) {
		switch name := row[1]; {
		case strings.HasPrefix(name, "Test"):
			require.Contains(t, sources, "func "+name+"(t *testing.T)")
			tests++
		case !strings.HasPrefix(name, "go test ") && !strings.HasPrefix(name, "stella ") && !strings.HasPrefix(name, "--"):
			require.True(t, known[name] || strings.Contains(cases, strconv.Quote(name)), name)
		}
	}
	require.Greater(t, tests, 30)
}

// textOf is what the files of some patterns say.
func textOf(t *testing.T, patterns ...string) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			all.Write(text)
		}
	}
	return all.String()
}
