package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

// schemaOf is a fingerprint of the schema, from the catalog: tables, columns,
// defaults, constraints, indexes, policies, whether they are forced, triggers,
// functions, sequences, storage and privileges. Columns are named, not counted: one
// that is dropped leaves its number behind.
func schemaOf(t *testing.T, admin *pgx.Conn) []string {
	t.Helper()
	return lines(t, admin, `
		select 'table ' || c.relname || ' ' || c.relkind::text || ' rls ' || c.relrowsecurity || ' forced ' || c.relforcerowsecurity
			|| ' ' || coalesce(array(select o from unnest(c.reloptions) o order by 1)::text, '') || ' ' || c.relowner::regrole
			|| ' ' || coalesce(array(select a::text from unnest(c.relacl) a order by 1)::text, '')
		from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
		union all select 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
			|| ' ' || a.attcollation::regcollation || ' ' || a.attstorage::text || a.attcompression::text || a.attgenerated::text
			|| ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' ' || coalesce(array(select x::text from unnest(a.attacl) x order by 1)::text, '')
			|| ' ' || coalesce(col_description(c.oid, a.attnum), '')
		from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
		union all select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || ' ' || convalidated
		from pg_constraint where connamespace = 'public'::regnamespace
		union all select 'index ' || pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid
		from pg_index i join pg_class c on c.oid = i.indexrelid where c.relnamespace = 'public'::regnamespace
		union all select 'policy ' || p.polrelid::regclass || ' ' || p.polname || ' ' || p.polcmd::text || p.polpermissive || p.polroles::regrole[]::text
			|| ' ' || coalesce(pg_get_expr(p.polqual, p.polrelid), '') || ' ' || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')
		from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = 'public'::regnamespace
		union all select 'trigger ' || pg_get_triggerdef(g.oid) from pg_trigger g join pg_class c on c.oid = g.tgrelid
		where c.relnamespace = 'public'::regnamespace and not g.tgisinternal
		union all select 'function ' || pg_get_functiondef(oid) || ' ' || coalesce(proacl::text, '') from pg_proc where pronamespace = 'public'::regnamespace
		union all select 'schema ' || array(select a::text from unnest(nspacl) a order by 1)::text from pg_namespace where oid = 'public'::regnamespace
		order by 1`)
}

func lines(t *testing.T, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return all
}

// dataOf is a fingerprint of all rows, table by table.
func dataOf(t *testing.T, admin *pgx.Conn) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, table := range lines(t, admin, `select relname from pg_class
		where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'goose_db_version'`) {
		columns := lines(t, admin, `select attname from pg_attribute
			where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attname`, table)
		all[table] = lines(t, admin, fmt.Sprintf("select count(*) || ' ' || md5(coalesce(string_agg(x, E'\n' order by x), '')) from (select row(%s)::text as x from %s) x",
			strings.Join(columns, ", "), table))[0]
	}
	return all
}

func requireForced(t *testing.T, admin *pgx.Conn, when string) {
	t.Helper()
	require.Empty(t, lines(t, admin, `select relname from pg_class where relnamespace = 'public'::regnamespace
		and relkind = 'r' and relname <> 'goose_db_version' and not (relrowsecurity and relforcerowsecurity)`), when)
}

// filled gives a database with what fill puts into it, and nobody at work in it.
func filled(t *testing.T) world {
	t.Helper()
	w := newWorld(t)
	w.fill(t)
	w.DB.Close()
	return w
}

// fill makes a ledger of two tenants and runs of one: at work, waiting, with a
// plan, places, packed shards and pins.
func (w world) fill(t *testing.T) {
	t.Helper()
	rng := seeded(t)
	for _, tenant := range []string{"acme", "globex"} {
		importTogether(t, postgres.NewLedger(w.DB), tenant, randomEvidence(rng, 30, 2))
	}
	snapshot, pack := storagetest.NewSnapshot("acme", "blocking", "1", 1)
	_, _, err := postgres.NewPolicySnapshots(w.DB).ImportSnapshot(t.Context(), snapshot, pack, storage.Idempotency{Key: "k", RequestHash: digest("k")})
	require.NoError(t, err)
	for n := range 7 { // four at work, three wait
		w.create(t, "acme", n+1)
	}
	claim := w.begin(t, w.started(t, "acme", 8).Ref(), export.PhaseResolve, 1)
	shard := storage.Shard{Name: "data/raw/advisories-0000000000000000.jsonl.zst", Kind: "advisory", Source: "ledger", Count: 3, Bytes: 30, Hash: digest("s")}
	require.NoError(t, w.exec.SavePlaces(t.Context(), claim, []storage.ShardPlaces{{Hash: shard.Hash, Places: []byte("p")}}))
	require.NoError(t, w.exec.Pin(t.Context(), claim, digest("plan"), 4))
	require.NoError(t, w.exec.SavePlan(t.Context(), claim, digest("plan"), digest("selection"), []storage.Shard{shard}, at(1)))
	require.NoError(t, w.exec.Pin(t.Context(), claim, digest("r"), 9))
	shard.Result = &storage.File{Path: shard.Name, Digest: digest("r"), Size: 9, Records: 3, ContentDigest: digest("c"), ContentSize: 30, Payload: true}
	adapt := w.begin(t, claim.Ref, export.PhaseAdapt, 1)
	require.NoError(t, w.exec.SaveShards(t.Context(), adapt, digest("recipe"), []storage.Shard{shard}, at(1)))
}

// Down and up again on a filled database: the schema is the same to the last
// privilege, the wall stands after every step, and the data are what they were, but
// for what a later migration brought and its way down must drop.
func TestFilledDatabaseGoesDownAndUp(t *testing.T) {
	w := filled(t)
	admin := connect(t, w.Admin)
	newest, err := postgres.NewestMigration()
	require.NoError(t, err)
	schema, first := schemaOf(t, admin), dataOf(t, admin)
	rounds := []map[string]string{}
	for range 2 {
		for version := newest - 1; version >= 3; version-- {
			require.NoError(t, postgres.MigrateDown(t.Context(), w.Owner, version))
			requireForced(t, admin, fmt.Sprintf("down to %d", version))
		}
		require.NoError(t, postgres.Migrate(t.Context(), w.Owner))
		requireForced(t, admin, "up")
		require.Equal(t, schema, schemaOf(t, admin))
		rounds = append(rounds, dataOf(t, admin))
	}
	for _, table := range []string{"export_events", "export_outbox", "blobs", "blob_pins", "export_attempts", "export_inputs",
		"tenants", "ledger_heads", "ledger_superseded"} {
		require.Equal(t, first[table], rounds[0][table], table)
		require.NotRegexp(t, "^0 ", first[table], table)
	}
	delete(rounds[0], "ledger_moments") // when is not known to the way down: it is now
	delete(rounds[1], "ledger_moments")
	require.Equal(t, rounds[0], rounds[1])
	require.NotRegexp(t, "^0 ", rounds[0]["ledger_blocks"])
	require.NotRegexp(t, "^0 ", rounds[0]["ledger_terms"])
}
