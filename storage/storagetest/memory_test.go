package storagetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func TestMemoryIsAStore(t *testing.T) {
	storagetest.Objects(t, func(*testing.T) storage.Objects { return storagetest.NewObjects() })
}

func TestMemoryTellsWhatIsLeft(t *testing.T) {
	s := storagetest.NewObjects()
	staged, err := s.Stage(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, 1, s.Staging())
	require.NoError(t, staged.Discard())
	require.Zero(t, s.Staging())
	digest := storagetest.Put(t, s, "acme", []byte("x"))
	require.Zero(t, s.Staging())
	require.Len(t, s.Digests("acme"), 1)
	require.Empty(t, s.Digests("globex"))
	s.Damage("acme", digest, []byte("y"))
	require.Equal(t, "y", string(storagetest.Get(t, s, "acme", digest)))
}

func TestMemoryIsAnAuditRecord(t *testing.T) {
	record := storagetest.NewAudit()
	storagetest.Audit(t, record, record)
}
