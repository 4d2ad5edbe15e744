package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/internal/pgchild"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// Tenants that hold every connection of theirs keep nobody at the door, and a crowd
// at the door keeps no tenant from reading.
func TestTheDoorHasConnectionsOfItsOwn(t *testing.T) {
	made := pgtest.New(t)
	cfg := made.Config
	cfg.MaxConns, cfg.DoorConns = 2, 1
	db, err := postgres.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()

	hold, held := make(chan struct{}), make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			err := db.WithTenant(ctx, "acme", func(pgx.Tx) error {
				held <- struct{}{}
				<-hold
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-held
	}
	require.NoError(t, postgres.NewProofs(db).Use(ctx, storage.Proof{ID: [32]byte{1}}, time.Now()))
	require.NoError(t, postgres.NewAudit(db).Append(ctx, "acme", []audit.Entry{{At: at(1), Event: audit.CallBegun}}))
	close(hold)
	readers.Wait()

	end := db.HoldDoor(t, 1)
	defer end()
	_, err = postgres.NewLedger(db).Head(ctx, "acme")
	require.NoError(t, err)
	busy, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	require.Error(t, postgres.NewAudit(db).Append(busy, "acme", []audit.Entry{{At: at(2), Event: audit.CallEnded}}))
}

// What the processes of `exportcenter up` may open together fits into its server.
func TestConnectionsOfABoxFit(t *testing.T) {
	const temporal = 4 * (8 + 3) // its four services; devserver/databases.go
	const others = 10            // the listener's and migrations' single ones, fsck's beside them, people's
	require.Equal(t, 23, postgres.Config{}.Connections())
	require.Less(t, 2*postgres.Config{}.Connections()+temporal+others, pgchild.MaxConnections)
}

func TestPoolsThatDoNotFitAreRefused(t *testing.T) {
	cfg := pgtest.New(t).Config
	cfg.MaxConns = 10_000
	_, err := postgres.Open(t.Context(), cfg)
	require.ErrorContains(t, err, "database.connections")
}
