package frontendtest_test

import (
	"testing"

	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func TestProofs(t *testing.T) {
	storagetest.Proofs(t, func(*testing.T) (one, other storage.Proofs) {
		memory := frontendtest.NewProofs()
		return memory, memory
	})
}

func TestTenants(t *testing.T) {
	storagetest.Tenants(t, func(*testing.T) storage.Tenants { return frontendtest.NewTenants() })
}
