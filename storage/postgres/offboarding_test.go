package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// Every table with tenants is emptied, or kept for a reason that is written down, and
// no table is emptied while rows of another still name its rows.
func TestOffboardingKnowsEveryTable(t *testing.T) {
	db := pgtest.New(t)
	conn := connect(t, db.Admin)
	o, err := postgres.OpenOffboarding(t.Context(), db.Offboard)
	require.NoError(t, err)
	defer o.Close()
	rows, err := conn.Query(t.Context(), `select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
		where a.attname = 'tenant' and c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	known := o.Tables()
	for table, why := range postgres.KeptTables {
		require.NotEmpty(t, why)
		require.NotContains(t, known, table)
		known = append(known, table)
	}
	require.ElementsMatch(t, tables, known, "a new table belongs into offboardedTables, or with a reason into keptTables, of offboarding.go, and into docs/offboarding.md")

	rows, err = conn.Query(t.Context(), `select conrelid::regclass::text, confrelid::regclass::text from pg_constraint where contype = 'f' and conrelid <> confrelid`)
	require.NoError(t, err)
	type key struct{ Child, Parent string }
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[key])
	require.NoError(t, err)
	require.NotEmpty(t, keys)
	for _, k := range keys {
		if slices.Contains(o.Tables(), k.Parent) {
			require.Less(t, slices.Index(o.Tables(), k.Child), slices.Index(o.Tables(), k.Parent), "%s before %s", k.Child, k.Parent)
		}
	}
}

// The role that removes can do nothing to a tenant that nobody asked to remove, and
// nothing but remove of one that somebody did.
func TestTheRoleThatRemovesIsBound(t *testing.T) {
	w := newWorld(t)
	w.ask(t, "acme", 1, 1)
	w.ask(t, "globex", 11, 11)
	conn := connect(t, w.Offboard)
	as := func(tenant, sql string) (affected int64, err error) {
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		defer tx.Rollback(t.Context()) //nolint:errcheck // nothing is to stay
		_, err = tx.Exec(t.Context(), "select set_config('app.current_tenant', $1, true)", tenant)
		require.NoError(t, err)
		tag, err := tx.Exec(t.Context(), sql)
		return tag.RowsAffected(), err
	}
	for _, tenant := range []string{"", "acme", "globex"} {
		n, err := as(tenant, "delete from export_events")
		require.NoError(t, err)
		require.Zero(t, n, "nobody asked")
		n, err = as(tenant, "select from export_runs")
		require.NoError(t, err)
		require.Zero(t, n)
	}
	w.leaving(t, "acme")
	n, err := as("acme", "delete from export_events")
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	n, err = as("globex", "delete from export_events")
	require.NoError(t, err)
	require.Zero(t, n)
	for _, sql := range []string{"delete from tenants", "delete from offboardings", "update export_runs set status = 'failed'", "insert into ledger_heads values ('acme')",
		"truncate export_events", "alter table export_runs disable row level security", "delete from dpop_proofs", "set role exportcenter_owner"} {
		_, err := as("acme", sql)
		require.ErrorContains(t, err, "42501", sql)
	}
	for _, sql := range []string{"update tenants set state = 'active'", "update tenants set state = 'suspended'"} {
		_, err := as("acme", sql)
		require.ErrorContains(t, err, "23514", sql)
	}
	for tenant, deletes := range map[string]bool{"acme": true, "globex": false} {
		require.NoError(t, postgres.NewAudit(w.DB).Append(t.Context(), "hooli", []audit.Entry{{At: at(1), Event: audit.CallRefused}}))
		_, err := as(tenant, "delete from audit_checkpoints")
		require.Equal(t, deletes, err == nil, "%v", err)
		_, err = as(tenant, "delete from audit_entries")
		require.Equal(t, deletes, err == nil, "%v", err)
	}
	require.Error(t, postgres.NewAudit(w.DB).Append(t.Context(), "acme", []audit.Entry{{At: at(1), Event: audit.CallRefused}}), "its record is closed")
	_, err = connect(t, w.Owner).Exec(t.Context(), "select set_config('app.current_tenant', 'acme', false); delete from audit_entries")
	require.ErrorContains(t, err, "23514", "nobody else deletes of it")
	for _, sql := range []string{"update tenants set state = 'offboarded', offboarded_at = now()", "update tenants set state = 'suspended'",
		"update tenants set state = 'offboarding'", "update tenants set display_name = 'x'",
		"insert into offboardings values ('globex', now(), '{}', '{}', now())"} {
		_, err := as("globex", sql)
		require.ErrorContains(t, err, "23514", sql)
	}
}

// The record of a tenant that has gone is nobody's to change.
func TestARecordStays(t *testing.T) {
	w := newWorld(t)
	w.leaving(t, "acme")
	conn := connect(t, w.Offboard)
	_, err := conn.Exec(t.Context(), "select set_config('app.current_tenant', 'acme', false)")
	require.NoError(t, err)
	for _, sql := range []string{"insert into offboardings values ('acme', now(), '{}', '{}', now())", "update offboardings set removed = '{\"a\":1}'",
		"insert into offboarding_runs values ('acme', 'r', '{}')",
		"update offboardings set ended_at = now(), record = 'signed'", "update tenants set state = 'offboarded', offboarded_at = now()"} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	for _, sql := range []string{"update offboardings set record = 'other'", "update offboardings set removed = '{}', ended_at = null, record = null",
		"insert into offboarding_runs values ('acme', 's', '{}')"} {
		_, err := conn.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "23514", sql)
	}
}

// The service asks for a removal, and cannot say that it was done.
func TestTheServiceEndsNoOffboarding(t *testing.T) {
	w := newWorld(t)
	w.leaving(t, "acme")
	conn := connect(t, w.App)
	_, err := conn.Exec(t.Context(), "select set_config('app.current_tenant', 'acme', false)")
	require.NoError(t, err)
	for _, sql := range []string{"update tenants set state = 'offboarded', offboarded_at = now()", "update offboardings set record = 'x'", "insert into offboarding_runs values ('acme', 'x', 'x')"} {
		_, err := conn.Exec(t.Context(), sql)
		require.Error(t, err, sql)
	}
	_, err = conn.Exec(t.Context(), "update tenants set state = 'active'")
	require.ErrorContains(t, err, "23514")
}

// leaving suspends a tenant and asks for its removal.
func (w *world) leaving(t *testing.T, tenant string) {
	t.Helper()
	tenants := postgres.NewTenants(w.DB)
	if err := tenants.CreateTenant(t.Context(), export.Tenant{Name: tenant, State: export.TenantActive}); err != nil {
		require.ErrorIs(t, err, storage.ErrConflict)
	}
	_, err := connect(t, w.Admin).Exec(t.Context(), "update export_runs set dispatched_at = null where tenant = $1", tenant)
	require.NoError(t, err)
	_, err = tenants.ChangeTenant(t.Context(), tenant, export.TenantSuspended, export.TenantChange{At: at(1), By: "root"})
	require.NoError(t, err)
	_, err = tenants.OffboardTenant(t.Context(), tenant, export.TenantChange{At: at(2), By: "root", Reason: "left"}, time.Second)
	require.NoError(t, err)
}

// Runs at work keep a tenant; those that only wait do not.
func TestRunsAtWorkKeepATenant(t *testing.T) {
	w := newWorld(t)
	tenants := postgres.NewTenants(w.DB)
	runs := w.ask(t, "acme", 1, 6) // four of six have a slot
	_, err := tenants.ChangeTenant(t.Context(), "acme", export.TenantSuspended, export.TenantChange{At: at(1)})
	require.NoError(t, err)
	ask := func() error {
		_, err := tenants.OffboardTenant(t.Context(), "acme", export.TenantChange{At: at(3), By: "root", Reason: "left"}, time.Second)
		return err
	}
	err = ask()
	require.Equal(t, export.CodeStateConflict, export.CodeOf(err))
	require.ErrorContains(t, err, "4 runs of the tenant are at work ("+runs[0].ID)
	admin := connect(t, w.Admin)
	set := func(sql string) {
		_, err := admin.Exec(t.Context(), "update export_runs set "+sql)
		require.NoError(t, err)
	}
	set("dispatched_at = null")
	approved := ", decision = 'approved', decided_at = requested_at, decided_by = 'x', decision_reason = 'x'"
	for _, status := range []string{"'running'", "'waiting', waiting_since = requested_at, waiting_until = requested_at, waiting_why = 'x'", "'waiting'" + approved} {
		set("status = " + status + ", started_at = requested_at where id = '" + runs[0].ID + "'")
		require.ErrorContains(t, ask(), "1 runs of the tenant are at work", status)
	}
	set("status = 'failed', completed_at = requested_at, error_code = 'x', error_message = 'x' where id = '" + runs[0].ID + "'")
	set("cancel_requested_at = requested_at, cancel_by = 'x', cancel_reason = 'x' where id = '" + runs[1].ID + "'")
	require.ErrorContains(t, ask(), runs[1].ID, "it is about to be ended")
	set("cancel_requested_at = null, cancel_by = null, cancel_reason = null where id = '" + runs[1].ID + "'")
	require.NoError(t, ask())
}

// Rows in large numbers go in batches, and are counted once each.
func TestRowsGoInBatches(t *testing.T) {
	w := newWorld(t)
	w.ask(t, "globex", 11, 11)
	w.leaving(t, "acme")
	_, err := connect(t, w.Admin).Exec(t.Context(), "insert into ledger_moments select t, n, now() from generate_series(1, 5000) n, (values ('acme'), ('globex')) v (t)")
	require.NoError(t, err)
	o, err := postgres.OpenOffboarding(t.Context(), w.Offboard)
	require.NoError(t, err)
	defer o.Close()
	_, err = o.RemoveRows(t.Context(), "acme", "ledger_moments", 10, at(3))
	require.ErrorIs(t, err, storage.ErrConflict, "what there was is noted first")
	require.NoError(t, o.Begin(t.Context(), "acme", at(3), offboarding.Blobs{}))
	for _, want := range []int{3000, 2000, 0} {
		n, err := o.RemoveRows(t.Context(), "acme", "ledger_moments", 3000, at(4))
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	for _, bad := range []string{"tenants", "offboardings", "pg_class", `x"; drop table tenants; --`} {
		_, err := o.RemoveRows(t.Context(), "acme", bad, 1, at(4))
		require.ErrorContains(t, err, "none of the tables", bad)
	}
	for _, tenant := range []string{"globex", "nobody"} {
		_, err = o.RemoveRows(t.Context(), tenant, "ledger_moments", 3000, at(4))
		require.ErrorIs(t, err, storage.ErrConflict)
		_, err = o.RemoveBlobs(t.Context(), tenant, 10, at(4), func(bundle.Digest, storage.Still) error { return nil })
		require.ErrorIs(t, err, storage.ErrConflict)
		require.ErrorIs(t, o.Begin(t.Context(), tenant, at(4), offboarding.Blobs{}), storage.ErrConflict)
	}
	envelope, err := o.End(t.Context(), "acme", at(5), func(r offboarding.Record) ([]byte, error) {
		i := slices.IndexFunc(r.Tables, func(t offboarding.Table) bool { return t.Table == "ledger_moments" })
		require.EqualValues(t, 5000, r.Tables[i].Rows)
		return []byte("signed"), nil
	})
	require.NoError(t, err)
	require.Equal(t, "signed", string(envelope))
	var left int
	require.NoError(t, connect(t, w.Admin).QueryRow(t.Context(), "select count(*) from ledger_moments where tenant = 'globex'").Scan(&left))
	require.Equal(t, 5000, left)
}

// What somebody still had in hand when the tenant was closed does not stay unnoticed.
func TestTheEndWaitsForAllRows(t *testing.T) {
	w := newWorld(t)
	w.leaving(t, "acme")
	o, err := postgres.OpenOffboarding(t.Context(), w.Offboard)
	require.NoError(t, err)
	defer o.Close()
	require.NoError(t, o.Begin(t.Context(), "acme", at(3), offboarding.Blobs{}))
	_, err = connect(t, w.Admin).Exec(t.Context(), "insert into ledger_moments values ('acme', 1, now())")
	require.NoError(t, err)
	sign := func(offboarding.Record) ([]byte, error) { return []byte("x"), nil }
	_, err = o.End(t.Context(), "acme", at(4), sign)
	require.ErrorIs(t, err, storage.ErrConflict)
	require.ErrorContains(t, err, "ledger_moments")
	_, err = o.RemoveRows(t.Context(), "acme", "ledger_moments", 1, at(4))
	require.NoError(t, err)
	_, err = o.End(t.Context(), "acme", at(4), sign)
	require.NoError(t, err)
	_, err = o.End(t.Context(), "acme", at(4), sign)
	require.ErrorIs(t, err, storage.ErrConflict)
}

// An installation without the role can do everything else, and gets it later: the
// next migrate gives it its rights, and a new table is given to it at once.
func TestTheRoleThatRemovesMayComeLater(t *testing.T) {
	db := pgtest.New(t)
	admin := connect(t, db.Admin)
	lacks := func() (n int) {
		require.NoError(t, admin.QueryRow(t.Context(), `select count(*) from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
			and c.relname like 'ledger%' and not has_table_privilege('exportcenter_offboard', c.oid, 'delete')`).Scan(&n))
		return n
	}
	_, err := admin.Exec(t.Context(), "create table ledger_new (tenant text collate \"C\" primary key)")
	require.NoError(t, err)
	require.Equal(t, 1, lacks())
	_, err = admin.Exec(t.Context(), "select protect_tenant_table('ledger_new')")
	require.NoError(t, err)
	require.Zero(t, lacks())
	_, err = admin.Exec(t.Context(), "drop table ledger_new; drop policy offboarding_only on ledger_heads; revoke all on ledger_heads, ledger_blocks from exportcenter_offboard")
	require.NoError(t, err)
	require.Equal(t, 2, lacks())
	require.NoError(t, postgres.Migrate(t.Context(), db.Owner))
	require.Zero(t, lacks())
}

// A table that somebody else keeps beside ours stops no migration, and is nothing for
// the role that removes.
func TestTablesOfOthersStayTheirs(t *testing.T) {
	db := pgtest.New(t)
	admin := connect(t, db.Admin)
	_, err := admin.Exec(t.Context(), "create table notes_of_others (tenant text)")
	require.NoError(t, err)
	require.NoError(t, postgres.Migrate(t.Context(), db.Owner))
	var may bool
	require.NoError(t, admin.QueryRow(t.Context(), "select has_table_privilege($1, 'notes_of_others', 'select')", postgres.OffboardRole).Scan(&may))
	require.False(t, may)
}
