package frontendtest_test

import (
	"testing"

	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

// The stand is held to the suite of the real store.
func TestProfiles(t *testing.T) {
	storagetest.Profiles(t, func(*testing.T) storage.Profiles { return frontendtest.NewProfiles() })
}
