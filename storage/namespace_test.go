package storage_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/storage"
)

// Whatever a tenant is called, its namespace is a name like all others.
func TestNamespaceIsInjectiveAndSafe(t *testing.T) {
	shape := regexp.MustCompile(`^[0-9a-f]{64}$`)
	seen := map[string]string{}
	for _, tenant := range []string{
		"", ".", "..", "../b", "a/b", "a//b", "a", "A", "а", "a\x00", "a ", "con", "staging", "sha256",
		"e\u0301", "\u00e9", strings.Repeat("a", 1000), strings.Repeat("a", 1001), "\xff", "a\nb",
	} {
		namespace := storage.Namespace(tenant)
		require.Regexp(t, shape, namespace, "%q", tenant)
		require.Empty(t, seen[namespace], "%q has the namespace of another tenant", tenant)
		seen[namespace] = "taken by " + tenant
		require.Equal(t, namespace, storage.Namespace(tenant))
	}
}
