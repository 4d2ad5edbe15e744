package frontendtest_test

import (
	"testing"

	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

// The stand is held to the suite of the real store.
func TestPolicies(t *testing.T) {
	storagetest.PolicySnapshots(t, func(*testing.T) storage.PolicySnapshots { return frontendtest.NewPolicies() })
}
