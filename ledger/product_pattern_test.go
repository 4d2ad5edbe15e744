package ledger_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
)

func TestProductPattern(t *testing.T) {
	for pattern, want := range map[string]string{
		"pkg:npm/lodash": "pkg:npm/lodash", "pkg:npm/lodash*": "pkg:npm/lodash*", "pkg:npm/*": "pkg:npm/*", "pkg:npm*": "pkg:npm*",
		"pkg:*": "pkg:*", "pkg:**": "pkg:*", "pkg:*/lodash": "pkg:*/lodash", "pkg:npm/a***b**": "pkg:npm/a*b*",
		"pkg:npm/%40angular/core": "pkg:npm/%40angular/core", "pkg:npm/@angular/core": "pkg:npm/@angular/core",
		"pkg:golang/example.org/x?goos=linux": "pkg:golang/example.org/x?goos=linux", "pkg:npm/ünï": "pkg:npm/ünï",
	} {
		got, err := ledger.ProductPattern(pattern)
		require.NoError(t, err, pattern)
		require.Equal(t, want, got)
	}
	for pattern, says := range map[string]string{
		"": "empty", "*": "not a package URL", "lodash": "not a package URL", "pkg:": "not a package URL", "pkg:npm": "not a package URL",
		"pkg:npm/": "not a package URL", "pkg:/x": "not a package URL", "pkg:1/x": "not a package URL", "PKG:npm/x": "not a package URL",
		"pkg:npm/lodash@4.17.21": "version", "pkg:npm/%40a/b@1": "version", "pkg:npm/lodash@*": "version",
		"pkg:npm/a b": "space", "pkg:npm/a\nb": "control", "pkg:npm/\xff": "UTF-8",
		"pkg:npm/" + strings.Repeat("a*", 9): "8 stars", "pkg:npm/" + strings.Repeat("a", 1024): "at most 1024",
	} {
		_, err := ledger.ProductPattern(pattern)
		require.ErrorContains(t, err, says, pattern)
	}
}
