package postgres_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// building is a database in which migrations can be made to wait.
type building struct {
	owner string
	admin *pgx.Conn
}

// wait is the advisory lock that a migration waits for. The administrator has it.
const wait = 4711

// newBuilding counts the statements that change the schema, in a sequence, which
// no rollback takes back; the one that makes it 0 waits.
func newBuilding(t *testing.T, db *pgtest.Database) building {
	t.Helper()
	db.DB.Close()
	b := building{db.Owner, connect(t, db.Admin)}
	b.exec(t, fmt.Sprintf(`
		create schema waiting; grant usage on schema waiting to public;
		create sequence waiting.n minvalue -1000000; grant usage on sequence waiting.n to public;
		create function waiting.wait() returns event_trigger language plpgsql as $$ begin
			if nextval('waiting.n') = 0 then perform pg_advisory_xact_lock_shared(%d); end if;
		end $$;
		create event trigger waiting on ddl_command_end execute function waiting.wait();
		select pg_advisory_lock(%[1]d)`, wait))
	return b
}

func (b building) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.admin.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// count runs a migration and counts its statements that change the schema.
func (b building) count(t *testing.T, m migration) (statements int) {
	t.Helper()
	b.run(t, m)
	require.NoError(t, b.admin.QueryRow(t.Context(), "select last_value - 1 from waiting.n").Scan(&statements))
	return statements
}

// run runs a migration undisturbed. The tenant wall stands behind it.
func (b building) run(t *testing.T, m migration) {
	t.Helper()
	b.exec(t, "select setval('waiting.n', 1)")
	require.NoError(t, m.do(t.Context(), b.owner))
	requireForced(t, b.admin, m.String())
}

// endConnection ends the connection of a migration behind its nth statement.
func (b building) endConnection(t *testing.T, m migration, nth int) {
	t.Helper()
	b.exec(t, "select setval('waiting.n', -$1::int)", nth)
	ended := make(chan error, 1)
	go func() { ended <- m.do(t.Context(), b.owner) }()
	pid := b.waiting(t)
	b.exec(t, "select pg_terminate_backend($1)", pid)
	require.Error(t, <-ended, "it says that it failed")
	b.gone(t, pid)
}

// migrateChild makes a test's process one that migrates: "version up DSN".
const migrateChild = "EXPORTCENTER_MIGRATE"

// killProcess kills the process of a migration behind its nth statement. What it
// had asked of PostgreSQL goes on, and finds nobody to tell.
func (b building) killProcess(t *testing.T, m migration, nth int) {
	t.Helper()
	b.exec(t, "select setval('waiting.n', -$1::int)", nth)
	child := exec.Command(os.Args[0], "-test.run=^TestMigrationsAreKilledInTheMiddle$", "-test.count=1")
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %t %s", migrateChild, m.version, m.up, b.owner))
	require.NoError(t, child.Start())
	pid := b.waiting(t)
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait(), "it was killed")
	b.exec(t, fmt.Sprintf("select pg_advisory_unlock(%d)", wait))
	b.gone(t, pid)
	b.exec(t, fmt.Sprintf("select pg_advisory_lock(%d)", wait))
}

// migrateAndEnd is what such a process does.
func migrateAndEnd(t *testing.T, what string) {
	t.Helper()
	words := strings.SplitN(what, " ", 3)
	version, err := strconv.ParseInt(words[0], 10, 64)
	require.NoError(t, err)
	require.NoError(t, migration{version, words[1] == "true"}.do(t.Context(), words[2]))
}

// waiting is the backend of the migration that waits, once it does.
func (b building) waiting(t *testing.T) (pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return b.admin.QueryRow(t.Context(), `select pid from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'advisory'`).Scan(&pid) == nil
	}, time.Minute, 2*time.Millisecond, "no migration came as far")
	return pid
}

func (b building) gone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var there bool
		err := b.admin.QueryRow(t.Context(), "select exists (select from pg_stat_activity where pid = $1)", pid).Scan(&there)
		return err == nil && !there
	}, time.Minute, 2*time.Millisecond)
}
