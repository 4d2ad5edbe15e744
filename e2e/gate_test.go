package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/stella-ops/exportcenter/internal/config"
)

// superuserDSN names the house's database for somebody nobody of ours is: row
// level security holds back the tables' owner like everybody else.
func (h *house) superuserDSN(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(h.dir, "state.json"))
	require.NoError(t, err)
	var state struct {
		Passwords struct{ Superuser string }
		Ports     struct{ Postgres int }
	}
	require.NoError(t, json.Unmarshal(raw, &state))
	return fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/exportcenter?sslmode=disable", state.Passwords.Superuser, state.Ports.Postgres)
}

func (h *house) superuser(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), h.superuserDSN(t))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) }) //nolint:errcheck // it is not used any more
	return conn
}

// temporal connects to the house's Temporal.
func (h *house) temporal(t testing.TB) client.Client {
	t.Helper()
	c, err := h.dialTemporal(t.Context())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// dialTemporal connects to the house's Temporal as it is now: it may be away.
func (h *house) dialTemporal(ctx context.Context) (client.Client, error) {
	cfg, err := config.Load(filepath.Join(h.dir, "config.yaml"))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	return client.DialContext(ctx, client.Options{HostPort: cfg.Temporal.Address, Namespace: cfg.Temporal.Namespace, Identity: "kim@e2e",
		Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
}

// A gate stops a tenant's runs at one point: where a phase is claimed ("begin
// resolve"), an event or a file is written ("event run.planned", "file
// manifests/export.json"). A run that waits there has its row locked, as at any
// such moment, so the cancel requests queue behind it and are granted right
// after the write: the gate decides between which two writes they come.
//
// A gate may also refuse the first writes with an SQLSTATE.
const gates = `
create table e2e_gates (
  tenant text, point text, hold bigint not null default 0, refuse text, times bigint not null default 0,
  primary key (tenant, point));
create sequence e2e_refused;
create function e2e_gate() returns trigger language plpgsql security definer set search_path = public as $$
declare
  g e2e_gates;
  row jsonb := to_jsonb(new);
  here text := case tg_table_name
    when 'export_attempts' then 'begin ' || split_part(row->>'phase', '/', 1)
    when 'export_events' then 'event ' || (row->>'event_type')
    when 'export_files' then 'file ' || (row->>'path')
    when 'export_signatures' then 'signature ' || (row->>'artifact')
    else tg_table_name end;
begin
  select * into g from e2e_gates where tenant = row->>'tenant' and point = here;
  if g.hold > 0 then
    perform pg_advisory_xact_lock_shared(g.hold);
  end if;
  if g.refuse is not null and nextval('e2e_refused') <= g.times then
    raise exception 'refused by a test' using errcode = g.refuse;
  end if;
  return new;
end $$;`

// gated are the tables whose writes pass a gate.
var gated = []string{"export_attempts", "export_events", "export_files", "export_signatures", "export_distributions"}

// buildGates makes gates possible in a house.
func buildGates(t testing.TB, db *pgx.Conn) {
	t.Helper()
	_, err := db.Exec(t.Context(), gates)
	require.NoError(t, err)
	for _, table := range gated {
		_, err := db.Exec(t.Context(), "create trigger e2e_gate before insert on "+table+" for each row execute function e2e_gate()")
		require.NoError(t, err)
	}
}

// razeGates leaves the database as it was.
func razeGates(t testing.TB, db *pgx.Conn) {
	t.Helper()
	for _, table := range gated {
		_, err := db.Exec(t.Context(), "drop trigger e2e_gate on "+table)
		require.NoError(t, err)
	}
	_, err := db.Exec(t.Context(), "drop function e2e_gate; drop table e2e_gates; drop sequence e2e_refused")
	require.NoError(t, err)
}

// gate is one closed gate; its connection holds what the runs wait for.
type gate struct {
	db  *pgx.Conn
	key int64
}

// close closes the gate at point for the runs of tenant.
func (g gate) close(ctx context.Context, tenant, point string) error {
	if _, err := g.db.Exec(ctx, "select pg_advisory_lock($1)", g.key); err != nil {
		return fmt.Errorf("close the gate %q: %w", point, err)
	}
	_, err := g.db.Exec(ctx, "insert into e2e_gates (tenant, point, hold) values ($1, $2, $3)", tenant, point, g.key)
	return err
}

// open lets go whoever waits.
func (g gate) open(ctx context.Context, tenant string) error {
	if _, err := g.db.Exec(ctx, "delete from e2e_gates where tenant = $1", tenant); err != nil {
		return err
	}
	_, err := g.db.Exec(ctx, "select pg_advisory_unlock($1)", g.key)
	return err
}

// How many wait for the gate, and how many of the others wait for one of these.
const (
	atTheGate = `select count(*) from pg_locks where locktype = 'advisory' and not granted
		and classid = 0 and objid = $1 and database = (select oid from pg_database where datname = current_database())`
	behindIt = `select count(*) from pg_stat_activity a where exists (
		select from pg_locks l where l.locktype = 'advisory' and not l.granted and l.classid = 0 and l.objid = $1
			and l.database = (select oid from pg_database where datname = current_database())
			and l.pid = any (pg_blocking_pids(a.pid)))`
)

// gatePatience is how long a run may take to its gate, on a busy machine.
const gatePatience = time.Minute

// await waits until a count of the gate's is n or more.
func (g gate) await(ctx context.Context, count string, n int) error {
	for deadline := time.Now().Add(gatePatience); ; time.Sleep(10 * time.Millisecond) {
		var found int
		if err := g.db.QueryRow(ctx, count, g.key).Scan(&found); err != nil {
			return fmt.Errorf("look at the gate: %w", err)
		}
		if found >= n {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d came to the gate in %s, not %d", found, gatePatience, n)
		}
	}
}
