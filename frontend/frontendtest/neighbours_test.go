package frontendtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func TestNeighbours(t *testing.T) {
	storagetest.Neighbours(t, func(t *testing.T) storagetest.Neighbourhood {
		w := frontendtest.New(t)
		return storagetest.Neighbourhood{Neighbours: frontendtest.Neighbours{World: w}, Tenants: w.Tenants, Now: w.Now,
			Record: func(t *testing.T, tenant, project, id string) {
				o, err := frontendtest.ParseAnything(ledger.Entry{Source: "s", Stream: "t", Bytes: []byte(`{"id":"` + id + `"}`)})
				require.NoError(t, err)
				o.Project = project
				_, err = w.Ledger.Import(t.Context(), tenant, []ledger.Observation{o})
				require.NoError(t, err)
			}}
	})
}
