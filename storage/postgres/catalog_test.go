package postgres_test

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// lint reads the catalog of a migrated database. Every rule lists offenders as
// text, so a failure names them; a table of the future is covered by being there.
var lint = []struct{ rule, offenders string }{
	{"every table has a tenant column, except goose's", `
		select c.relname from pg_class c
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'goose_db_version'
		and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant' and a.attnotnull)`},
	{"row level security is enabled and forced", `
		select c.relname from pg_class c
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'goose_db_version'
		and not (c.relrowsecurity and c.relforcerowsecurity)`},
	{"every table has the wall: a policy for all commands that compares the tenant", `
		select c.relname from pg_class c
		where c.relrowsecurity and not exists (select from pg_policy p where p.polrelid = c.oid and p.polcmd = '*' and p.polpermissive
			and pg_get_expr(p.polqual, p.polrelid) ~ '^\(tenant = \( SELECT .*app_current_tenant'
			and pg_get_expr(p.polwithcheck, p.polrelid) = pg_get_expr(p.polqual, p.polrelid))`},
	{"no other policy is open to the service", `
		select c.relname || '.' || p.polname from pg_policy p join pg_class c on c.oid = p.polrelid
		where p.polname <> 'tenant_wall' and p.polpermissive
		and (p.polroles = '{0}' or 'exportcenter_app'::regrole = any (p.polroles))`},
	{"unique keys begin with the tenant", `
		select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid
		where i.indisunique and c.relnamespace = 'public'::regnamespace and c.relname <> 'goose_db_version'
		and (i.indkey[0] = 0 or (select attname from pg_attribute where attrelid = i.indrelid and attnum = i.indkey[0]) <> 'tenant')`},
	{"foreign keys begin with the tenant on both sides", `
		select f.conname from pg_constraint f where f.contype = 'f'
		and ((select attname from pg_attribute where attrelid = f.conrelid and attnum = f.conkey[1]) <> 'tenant'
		or (select attname from pg_attribute where attrelid = f.confrelid and attnum = f.confkey[1]) <> 'tenant')`},
	{"texts in unique keys are compared as bytes", `
		select i.indexrelid::regclass::text || '.' || a.attname from pg_index i
		join pg_class c on c.oid = i.indrelid, unnest(i.indkey) k join pg_attribute a on a.attnum = k
		where i.indisunique and a.attrelid = i.indrelid and c.relnamespace = 'public'::regnamespace and c.relname <> 'goose_db_version'
		and a.atttypid = 'text'::regtype and a.attcollation <> '"C"'::regcollation`},
	{"the service and the dispatcher own nothing", `
		select oid::regclass::text from pg_class where relowner in ('exportcenter_app'::regrole, 'exportcenter_dispatch'::regrole)
		union select oid::regprocedure::text from pg_proc where proowner in ('exportcenter_app'::regrole, 'exportcenter_dispatch'::regrole)`},
	{"roles have no privileges of their own and belong to no other role", `
		select rolname from pg_roles where rolname like 'exportcenter%'
		and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)
		union select m.member::regrole::text from pg_auth_members m where m.member::regrole::text like 'exportcenter%'`},
	{"nobody but the owner truncates, references, triggers, or touches goose's table", `
		select c.relname || ' ' || r.rolname || ' ' || p.priv from pg_class c, pg_roles r,
			unnest(array['truncate', 'references', 'trigger']) p (priv)
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
		and r.rolname in ('exportcenter_app', 'exportcenter_dispatch') and has_table_privilege(r.oid, c.oid, p.priv)
		union select r.rolname from pg_roles r where r.rolname in ('exportcenter_app', 'exportcenter_dispatch')
		and has_table_privilege(r.oid, 'goose_db_version', 'select, insert, update, delete')`},
	{"the dispatcher reads no evidence", `
		select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and c.relname like 'ledger%' and c.relkind = 'r'
		and has_any_column_privilege('exportcenter_dispatch', c.oid, 'select, insert, update')`},
	{"the ledger only grows", `
		select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and c.relname like 'ledger%' and c.relkind = 'r'
		and (has_table_privilege('exportcenter_app', c.oid, 'update, delete')
		or c.relname <> 'ledger_heads' and has_any_column_privilege('exportcenter_app', c.oid, 'update'))`},
	{"nobody but the owner makes objects", `
		select r.rolname from pg_roles r where r.rolname in ('exportcenter_app', 'exportcenter_dispatch', 'exportcenter_offboard')
		and has_schema_privilege(r.oid, 'public', 'create')`},
	{"no materialized view, and views look through the reader's eyes", `
		select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace
		and (c.relkind = 'm' or c.relkind = 'v' and not coalesce('security_invoker=true' = any (c.reloptions) or 'security_invoker=on' = any (c.reloptions), false))`},
	{"the role that removes tenants deletes from every table of theirs, where the tenant is being offboarded", `
		select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> 'goose_db_version'
		and c.relname not in ('tenants', 'offboardings', 'offboarding_runs', 'dpop_epochs', 'dpop_proofs')
		and not (has_table_privilege('exportcenter_offboard', c.oid, 'select') and has_table_privilege('exportcenter_offboard', c.oid, 'delete')
			and exists (select from pg_policy p where p.polrelid = c.oid and p.polcmd = '*' and not p.polpermissive
				and p.polroles = array['exportcenter_offboard'::regrole::oid] and pg_get_expr(p.polqual, p.polrelid) like '%app_offboarding()%'))`},
	{"and does nothing else", `
		select c.relname || ' ' || p.priv from pg_class c, unnest(array['insert', 'update', 'truncate', 'references', 'trigger']) p (priv)
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
		and c.relname not in ('tenants', 'offboardings', 'offboarding_runs') and has_table_privilege('exportcenter_offboard', c.oid, p.priv)
		union select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
		and c.relname in ('tenants', 'offboardings', 'offboarding_runs', 'dpop_epochs', 'dpop_proofs', 'goose_db_version')
		and has_table_privilege('exportcenter_offboard', c.oid, 'delete')`},
	{"functions that run as their owner are for the dispatcher only", `
		select p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'public'::regnamespace
		and p.prosecdef and has_function_privilege('exportcenter_app', p.oid, 'execute')`},
}

func TestCatalogKeepsTheTenantWall(t *testing.T) {
	db := pgtest.New(t)
	conn := connect(t, db.Admin)
	for _, l := range lint {
		t.Run(l.rule, func(t *testing.T) {
			rows, err := conn.Query(t.Context(), l.offenders)
			require.NoError(t, err)
			offenders, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			require.Empty(t, offenders)
		})
	}
}

// The lint must be able to fail: each statement breaks one rule.
func TestCatalogLintFindsBreaches(t *testing.T) {
	db := pgtest.New(t)
	conn := connect(t, db.Admin)
	breaches := []string{
		"create table stray (id text primary key)",
		"alter table ledger_heads no force row level security",
		"drop policy tenant_wall on ledger_terms",
		"create policy wide on ledger_terms using (true)",
		"create unique index bad on ledger_observations (upstream_id)",
		"alter table ledger_terms add foreign key (base, tenant) references ledger_observations (seq, tenant)",
		"create table loose (tenant text collate \"en-x-icu\" primary key)",
		"alter table ledger_terms owner to exportcenter_app",
		"alter role exportcenter_app bypassrls",
		"grant truncate on ledger_blocks to exportcenter_app",
		"grant select on ledger_heads to exportcenter_dispatch",
		"grant delete on ledger_observations to exportcenter_app",
		"grant create on schema public to exportcenter_app",
		"create view seen as select * from ledger_heads",
		"revoke delete on ledger_blocks from exportcenter_offboard",
		"grant update on ledger_blocks to exportcenter_offboard",
		"create function sees() returns bigint language sql security definer as 'select count(*) from ledger_heads'",
	}
	require.Len(t, breaches, len(lint))
	for i, l := range lint {
		t.Run(l.rule, func(t *testing.T) {
			tx, err := conn.Begin(t.Context())
			require.NoError(t, err)
			defer tx.Rollback(t.Context()) //nolint:errcheck // the breach is undone
			if l.rule == "foreign keys begin with the tenant on both sides" {
				_, err = tx.Exec(t.Context(), "create unique index turned on ledger_observations (seq, tenant)")
				require.NoError(t, err)
			}
			_, err = tx.Exec(t.Context(), breaches[i])
			require.NoError(t, err)
			rows, err := tx.Query(t.Context(), l.offenders)
			require.NoError(t, err)
			offenders, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			require.NotEmpty(t, offenders, breaches[i])
		})
	}
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(t.Context()) }) //nolint:errcheck // test connection
	return conn
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	db := pgtest.New(t)
	admin := connect(t, db.Admin)
	schema := func() []string {
		rows, err := admin.Query(t.Context(), `
			select table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')
			from information_schema.columns where table_schema = 'public'
			union all select indexdef from pg_indexes where schemaname = 'public'
			union all select tablename || ' ' || policyname || ' ' || qual from pg_policies
			union all select table_name || ' ' || grantee || ' ' || privilege_type from information_schema.role_table_grants
			where table_schema = 'public' and grantee like 'exportcenter%'`)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		slices.Sort(lines)
		return lines
	}
	before := schema()
	require.NoError(t, postgres.MigrateDown(t.Context(), db.Owner, 0))
	var left int
	require.NoError(t, admin.QueryRow(t.Context(), "select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'").Scan(&left))
	require.Equal(t, 1, left, "only goose's table is left")
	require.NoError(t, postgres.Migrate(t.Context(), db.Owner))
	require.Equal(t, before, schema())
}

func TestMigrateTogether(t *testing.T) {
	db := pgtest.Empty(t)
	require.NoError(t, postgres.Bootstrap(t.Context(), db.Admin, "unused", pgtest.Passwords))
	errs := make(chan error, 3)
	for range cap(errs) {
		go func() { errs <- postgres.Migrate(t.Context(), db.Owner) }()
	}
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
}

func TestBootstrapIsIdempotentAndSetsPasswords(t *testing.T) {
	db := pgtest.Empty(t)
	for range 2 {
		require.NoError(t, postgres.Bootstrap(t.Context(), db.Admin, "again", pgtest.Passwords))
	}
	connect(t, db.App) // the password still holds
	for _, bad := range []string{"", "pässword", "two\nlines"} {
		p := pgtest.Passwords
		p.App = bad
		err := postgres.Bootstrap(t.Context(), db.Admin, "again", p)
		require.ErrorContains(t, err, "exportcenter_app")
	}
}
