package verify_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/sealed"
)

// TestOneBoundOfWrappedKeys: the format and the code that wraps do not know each other.
func TestOneBoundOfWrappedKeys(t *testing.T) {
	require.Equal(t, sealed.MaxWrappedKey, bundle.MaxWrappedKey)
}
