package verify_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/verify"
)

// TestAttackPageNamesWhatThereIs: every test, mutation and reason that the page
// names is there under that name.
func TestAttackPageNamesWhatThereIs(t *testing.T) {
	page, err := os.ReadFile("../../docs/formats/attacks.md")
	require.NoError(t, err)
	var sources strings.Builder
	for _, pattern := range []string{"*_test.go", "../../cmd/stella/*_test.go", "../../e2e/*_test.go", "../../house_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			sources.Write(text)
		}
	}
	known := map[string]bool{"FAULTS=all": true, "code": true}
	for _, m := range allMutations() {
		known[m.name], known[string(m.reason)] = true, true
	}
	for _, r := range []verify.Reason{verify.ReasonKeyNotListed, verify.ReasonUntrustedKey, verify.ReasonApproval} {
		known[string(r)] = true
	}
	tests := 0
	for _, row := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(string(page), -1) {
		switch name := row[1]; {
		case strings.HasPrefix(name, "Test"):
			require.Contains(t, sources.String(), "func "+name+"(t *testing.T)")
			tests++
		case !strings.HasPrefix(name, "go test "):
			require.True(t, known[name], name)
		}
	}
	require.Greater(t, tests, 15)
}
