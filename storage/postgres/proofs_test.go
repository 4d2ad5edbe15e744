package postgres_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/pgchild"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

var proofTime = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

func aProof(text, nonce string) storage.Proof {
	return storage.Proof{ID: sha256.Sum256([]byte(text)), Nonce: nonce}
}

func TestProofs(t *testing.T) {
	storagetest.Proofs(t, func(t *testing.T) (one, other storage.Proofs) {
		db := pgtest.New(t)
		second, err := postgres.Open(t.Context(), db.Config)
		require.NoError(t, err)
		t.Cleanup(second.Close)
		return postgres.NewProofs(db.DB), postgres.NewProofs(second)
	})
}

// Without the database nobody knows, and that is no yes.
func TestProofsWithoutADatabase(t *testing.T) {
	db := pgtest.New(t)
	memory := postgres.NewProofs(db.DB)
	require.NoError(t, memory.Use(t.Context(), aProof("a", ""), proofTime))
	db.Close()
	err := memory.Use(t.Context(), aProof("b", ""), proofTime)
	require.Error(t, err)
	require.NotErrorIs(t, err, storage.ErrProofUsed)
}

// What has expired goes; what could be sent again stays.
func TestExpiredProofsGo(t *testing.T) {
	db := pgtest.New(t)
	memory := postgres.NewProofs(db.DB)
	admin := connect(t, db.Admin)
	left := func() (n int) {
		require.NoError(t, admin.QueryRow(t.Context(), "select count(*) from dpop_proofs").Scan(&n))
		return n
	}
	require.NoError(t, memory.Use(t.Context(), aProof("old", ""), proofTime))
	require.NoError(t, memory.Use(t.Context(), aProof("new", ""), proofTime.Add(4*time.Minute)))
	// Whatever a process takes the time to be, nobody's proof is forgotten before
	// the database says so.
	require.NoError(t, memory.Use(t.Context(), aProof("newer", ""), proofTime.Add(10*365*24*time.Hour)))
	require.ErrorIs(t, memory.Use(t.Context(), aProof("old", ""), proofTime.Add(4*time.Minute)), storage.ErrProofUsed)
	require.Equal(t, 3, left())
	_, err := admin.Exec(t.Context(), "update dpop_proofs set expires_at = clock_timestamp() - interval '1 second' where id = (select id from dpop_proofs order by expires_at limit 1)")
	require.NoError(t, err)
	require.ErrorIs(t, memory.Use(t.Context(), aProof("new", ""), proofTime.Add(20*365*24*time.Hour)), storage.ErrProofUsed)
	require.Eventually(t, func() bool { return left() == 2 }, 5*time.Second, 5*time.Millisecond, "the expired one stays")
	require.ErrorIs(t, memory.Use(t.Context(), aProof("newer", ""), proofTime), storage.ErrProofUsed)
}

// The service may add and remove, and reaches neither table as a tenant.
func TestProofsBelongToTheInstallation(t *testing.T) {
	db := pgtest.New(t)
	require.NoError(t, postgres.NewProofs(db.DB).Use(t.Context(), aProof("a", ""), proofTime))
	acme, nobody := "acme", ""
	conn := connect(t, db.App)
	for _, table := range []string{"dpop_proofs", "dpop_epochs"} {
		require.Zero(t, countRows(t, conn, &acme, table))
		require.Zero(t, countRows(t, conn, &nobody, table))
		require.Zero(t, countRows(t, conn, nil, table), "what the installation said about itself ends with its transaction")
	}
	for _, sql := range []string{"update dpop_proofs set expires_at = now()", "update dpop_epochs set since = '-infinity'", "delete from dpop_epochs"} {
		_, err := conn.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "42501", sql)
	}
}

// A PostgreSQL that crashed has forgotten the proofs, and says so: until every
// proof from before has expired only those with the new nonce are taken. One that
// was asked to stop has forgotten nothing.
func TestACrashIsNoSecondChance(t *testing.T) {
	testkit.Postgres(t) // or skip
	port, err := testkit.FreePort()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "exportcenter-proofs-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711)) // the server's user passes through
	t.Cleanup(func() { os.RemoveAll(dir) })
	server := func() *pgchild.Server {
		s, err := pgchild.Start(t.Context(), pgchild.Config{Data: filepath.Join(dir, "pg"), Port: port, Superuser: "postgres", Password: "test", Volatile: true})
		require.NoError(t, err)
		return s
	}
	running := server()
	defer func() { require.NoError(t, running.Stop(t.Context())) }()
	c := running.Config
	require.NoError(t, postgres.Bootstrap(t.Context(), c.AdminDSN(), "proofs", pgtest.Passwords))
	require.NoError(t, postgres.Migrate(t.Context(), c.DSN(postgres.OwnerRole, pgtest.Passwords.Owner, "proofs")))
	use := func(proof storage.Proof) error {
		db, err := postgres.Open(t.Context(), postgres.Config{App: c.DSN(postgres.AppRole, pgtest.Passwords.App, "proofs")})
		require.NoError(t, err)
		defer db.Close()
		return postgres.NewProofs(db).Use(t.Context(), proof, proofTime)
	}
	require.NoError(t, use(aProof("a", "")))
	require.NoError(t, running.Stop(t.Context()))
	running = server()
	require.ErrorIs(t, use(aProof("a", "")), storage.ErrProofUsed, "after an orderly restart")
	require.NoError(t, use(aProof("b", "")))

	require.NoError(t, syscall.Kill(running.PID(), pgchild.QuitSignal))
	<-running.Wait()
	running = server()
	var wanted *storage.NonceError
	for _, proof := range []string{"a", "b", "never seen"} {
		require.ErrorAs(t, use(aProof(proof, "")), &wanted, proof)
		require.ErrorAs(t, use(aProof(proof, "0123456789abcdef")), &wanted, proof)
	}
	nonce := wanted.Nonce
	require.NoError(t, use(aProof("c", nonce)))
	require.ErrorIs(t, use(aProof("c", nonce)), storage.ErrProofUsed)
	require.ErrorAs(t, use(aProof("d", "")), &wanted)
	require.Equal(t, nonce, wanted.Nonce, "one nonce for all processes")

	admin := connect(t, c.DSN("postgres", "test", "proofs"))
	_, err = admin.Exec(t.Context(), "update dpop_epochs set since = since - interval '3 minutes'")
	require.NoError(t, err)
	require.NoError(t, use(aProof("d", "")), "by now nothing from before counts")
}

// BenchmarkProofs is what a proof costs when many come at once.
func BenchmarkProofs(b *testing.B) {
	db := pgtest.New(b)
	memory := postgres.NewProofs(db.DB)
	var mu sync.Mutex
	n := byte(0)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		mu.Lock()
		n++
		id := [32]byte{n}
		mu.Unlock()
		for i := uint64(0); pb.Next(); i++ {
			for at := range 8 {
				id[8+at] = byte(i >> (8 * at))
			}
			if err := memory.Use(b.Context(), storage.Proof{ID: id}, proofTime); err != nil {
				b.Fatalf("%v %s", err, export.CodeOf(err))
			}
		}
	})
}
