package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/offboarding/removal"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/keyfile"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// leaving is an installation in which acme may be offboarded, and its public key.
func leaving(t *testing.T) (data string, db *pgtest.Database, key signing.Verifier) {
	t.Helper()
	data, blobs, db := installation(t)
	private, err := keyfile.Generate(signing.ECDSAP256, rand.Reader)
	require.NoError(t, err)
	path := filepath.Join(data, "signing.key")
	require.NoError(t, keyfile.Write(path, private, []byte("secret")))
	require.NoError(t, os.WriteFile(filepath.Join(data, "password"), []byte("secret\n"), 0o600))
	signer, err := keyfile.Load(path, []byte("secret"))
	require.NoError(t, err)
	key, err = signing.ParsePublicKey(signer.PublicKeyPEM())
	require.NoError(t, err)
	cfg, err := config.Load(filepath.Join(data, "config.yaml"))
	require.NoError(t, err)
	cfg.Database.Offboard, cfg.Blobs.Dir = db.Offboard, blobs
	cfg.Signing = config.Signing{Key: path, PasswordFile: filepath.Join(data, "password")}
	require.NoError(t, cfg.Write(filepath.Join(data, "config.yaml")))
	require.NoError(t, os.WriteFile(filepath.Join(blobs, "kept-by-nobody"), nil, 0o600)) // of no tenant
	return data, db, key
}

func ask(t *testing.T, db *pgtest.Database) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.Admin)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // test
	_, err = conn.Exec(t.Context(), "update export_runs set dispatched_at = null")
	require.NoError(t, err)
	tenants, now := postgres.NewTenants(db.DB), clock.System().Truncate(time.Second)
	_, err = tenants.ChangeTenant(t.Context(), "acme", export.TenantSuspended, export.TenantChange{At: now, By: "root"})
	require.NoError(t, err)
	_, err = tenants.OffboardTenant(t.Context(), "acme", export.TenantChange{At: now, By: "root", Reason: "left"}, 0)
	require.NoError(t, err)
}

// The command removes a tenant, says what it did, is in the audit record, and is
// right to be run again.
func TestOffboardCommand(t *testing.T) {
	data, db, key := leaving(t)
	out, err := runCommand(t, "offboard", "--data", data, "--tenant", "acme")
	require.ErrorIs(t, err, errNotRemoved)
	require.ErrorContains(t, err, "it is active; `stella tenant offboard acme` asks for it")
	require.Empty(t, out)
	_, err = runCommand(t, "offboard", "--data", data, "--tenant", "nobody")
	require.ErrorIs(t, err, errNotRemoved)
	for _, name := range []string{"", "_", "../b", "ACME"} {
		_, err = runCommand(t, "offboard", "--data", data, "--tenant", name)
		require.ErrorContains(t, err, "--tenant", name)
	}
	_, err = runCommand(t, "offboard", "--data", data, "--tenant", "acme", "--format", "xml")
	require.ErrorContains(t, err, "choose table or json")

	ask(t, db)
	out, err = runCommand(t, "offboard", "--data", data, "--tenant", "acme", "--format", "json")
	require.NoError(t, err)
	var told offboarded
	dec := json.NewDecoder(strings.NewReader(out))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&told))
	require.Equal(t, "offboarded acme 1", told.Status+" "+told.Tenant+" "+string('0'+rune(told.Runs)))
	require.Positive(t, told.Rows)
	record, keyID, err := offboarding.Open(told.Envelope, []signing.Verifier{key})
	require.NoError(t, err)
	require.Equal(t, key.KeyID(), keyID)
	require.Equal(t, "left", record.Reason)
	again, err := runCommand(t, "offboard", "--data", data, "--tenant", "acme", "--format", "json")
	require.NoError(t, err)
	require.Equal(t, out, again)
	table, err := runCommand(t, "offboard", "--data", data, "--tenant", "acme")
	require.NoError(t, err)
	require.Contains(t, table, "offboarded  acme\n")

	rows, _, err := postgres.NewAudit(db.DB).Entries(t.Context(), audit.Installation, storage.AuditFilter{Operation: "offboard", Limit: 100})
	require.NoError(t, err)
	var ends []int
	for _, row := range rows {
		e, err := audit.Decode(row.Line)
		require.NoError(t, err)
		require.Equal(t, "exportcenter offboard", e.Subject)
		if e.Event == audit.CallEnded {
			ends = append(ends, e.Status)
		}
	}
	require.Equal(t, []int{409, 404, 200, 200, 200}, ends)
	require.Len(t, rows, 10, "each is begun and ended")
}

// What must be there before anything is removed is asked for by name.
func TestOffboardNeedsItsRoleAndTheKey(t *testing.T) {
	data, db, _ := leaving(t)
	ask(t, db)
	for field, damage := range map[string]func(*config.Config){
		"database.offboard": func(c *config.Config) { c.Database.Offboard = "" },
		"load key":          func(c *config.Config) { c.Signing.Key = filepath.Join(data, "gone.key") },
		"blob store":        func(c *config.Config) { c.Blobs.Dir = filepath.Join(data, "gone") },
		"removes tenants": func(c *config.Config) {
			c.Database.Offboard = strings.Replace(db.Offboard, "offboard-test", "wrong", 1)
		},
	} {
		cfg, err := config.Load(filepath.Join(data, "config.yaml"))
		require.NoError(t, err)
		damage(&cfg)
		file := filepath.Join(t.TempDir(), "config.yaml")
		require.NoError(t, cfg.Write(file))
		_, err = runCommand(t, "offboard", "--config", file, "--tenant", "acme")
		require.ErrorContains(t, err, field)
		require.NotContains(t, err.Error(), "wrong@")
	}
	tenant, err := postgres.NewTenants(db.DB).GetTenant(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, export.TenantOffboarding, tenant.State)
}

func TestProgressIsTold(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tell := newProgress(&out, func() time.Time { return now })
	tell(removal.Progress{Step: "blobs", Done: 100})
	tell(removal.Progress{Step: "blobs", Done: 200})
	now = now.Add(10 * time.Second)
	tell(removal.Progress{Step: "blobs", Done: 300})
	tell(removal.Progress{Step: "export_runs", Done: 1})
	require.Equal(t, "removing blobs: 100\nremoving blobs: 300\nremoving export_runs: 1\n", out.String())
}
