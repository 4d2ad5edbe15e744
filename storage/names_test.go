package storage_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/storage"
)

// Whatever a tenant were called, its blobs would lie under a name like all others, which
// is no other tenant's, also where a store folds case or composition.
func TestNamesInObjectKeys(t *testing.T) {
	seen := map[string]string{}
	for _, name := range testkit.Names() {
		namespace := storage.Namespace(name)
		require.Regexp(t, `\A[0-9a-f]{64}\z`, namespace, "%.80q", name)
		for _, folded := range []string{namespace, strings.ToUpper(namespace), cases.Fold().String(norm.NFD.String(namespace))} {
			other, taken := seen[folded]
			require.True(t, !taken || other == name, "%.80q has the namespace of %.80q", name, other)
			seen[folded] = name
		}
	}
}
