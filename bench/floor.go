package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// tools are the foreign programs that make the floor.
type tools struct{ missing []string }

func findTools() tools {
	var t tools
	for _, name := range []string{"psql", "zstd", "sha256sum"} {
		if _, err := exec.LookPath(name); err != nil {
			t.missing = append(t.missing, name)
		}
	}
	return t
}

func (t tools) have(names ...string) bool {
	for _, name := range names {
		for _, missing := range t.missing {
			if name == missing {
				return false
			}
		}
	}
	return true
}

// floorDatabase lies beside the service's database, in the same server with
// the same settings.
const floorDatabase = "bench_floor"

// The commands of the floor. Lines of JSON hold neither byte 1 nor byte 2, so
// this form of CSV takes them as they are.
const (
	copyIn      = `COPY bench_import (line) FROM STDIN WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')`
	exportQuery = `SELECT line FROM bench_floor ORDER BY n`
	copyOut     = `COPY (` + exportQuery + `) TO STDOUT`
)

// connect connects as the superuser: row level security does not hide rows.
func (h *house) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	dsn := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", h.state.Passwords.Superuser),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(h.state.Ports.Postgres)), Path: "/" + database, RawQuery: "sslmode=disable"}
	return pgx.Connect(ctx, dsn.String())
}

func (h *house) psql(ctx context.Context, statement string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
		"-p", strconv.Itoa(h.state.Ports.Postgres), "-U", "postgres", "-d", floorDatabase, "-c", statement)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+h.state.Passwords.Superuser)
	cmd.Stderr = os.Stderr
	return cmd
}

func (h *house) execute(ctx context.Context, database string, statements ...string) error {
	conn, err := h.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // each statement told how it went
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// makeFloor makes the database and both tables.
func (h *house) makeFloor(ctx context.Context) error {
	if err := h.execute(ctx, "postgres", "create database "+floorDatabase+" locale 'C' encoding 'UTF8' template template0"); err != nil {
		return err
	}
	return h.execute(ctx, floorDatabase,
		"create table bench_import (line text not null)",
		"create table bench_floor (n bigint primary key, line text not null)")
}

// importFloor is a plain COPY of the documents into a table without index.
func (b *bench) importFloor(ctx context.Context) (time.Duration, error) {
	if err := b.house.execute(ctx, floorDatabase, "truncate bench_import"); err != nil {
		return 0, err
	}
	file, err := os.Open(b.docs.path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	cmd := b.house.psql(ctx, copyIn)
	cmd.Stdin = file
	begin := b.now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("psql %s: %w", copyIn, err)
	}
	took := b.now().Sub(begin)
	return took, b.house.holds(ctx, "bench_import", int64(b.docs.count))
}

// holds checks that a floor did all of its work.
func (h *house) holds(ctx context.Context, table string, want int64) error {
	conn, err := h.connect(ctx, floorDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // only read
	var got int64
	if err := conn.QueryRow(ctx, "select count(*) from "+table).Scan(&got); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s has %d rows, not %d", table, got, want)
	}
	return nil
}

// loadFloor fills the table of the export's floor with the very lines of the
// archive, in their order, and counts their bytes.
func (b *bench) loadFloor(ctx context.Context) error {
	conn, err := b.house.connect(ctx, floorDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // the statements told how they went
	lines, err := openPayload(b.archive)
	if err != nil {
		return err
	}
	defer lines.close()
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{"bench_floor"}, []string{"n", "line"}, lines); err != nil {
		return fmt.Errorf("load the floor: %w", err)
	}
	b.lineBytes = lines.bytes
	for _, s := range []string{"vacuum analyze bench_floor", "checkpoint"} {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	if err := b.house.holds(ctx, "bench_floor", int64(b.docs.count)); err != nil {
		return err
	}
	return sortsNothing(ctx, conn)
}

// sortsNothing holds the floor to its plan: a walk along the index in the
// order of the table. With a sort it would be slow by our doing.
func sortsNothing(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "explain "+exportQuery)
	if err != nil {
		return fmt.Errorf("explain %s: %w", exportQuery, err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("explain %s: %w", exportQuery, err)
	}
	if text := strings.Join(plan, "\n"); strings.Contains(text, "Sort") {
		return fmt.Errorf("PostgreSQL would sort for the floor of the export:\n%s", text)
	}
	return nil
}

// exportFloor runs psql | zstd | sha256sum over the table.
func (b *bench) exportFloor(ctx context.Context) (time.Duration, error) {
	read := b.house.psql(ctx, copyOut)
	pack := exec.CommandContext(ctx, "zstd", "-q", "-3", "-T2")
	hash := exec.CommandContext(ctx, "sha256sum")
	begin := b.now()
	if err := pipeline(read, pack, hash); err != nil {
		return 0, err
	}
	return b.now().Sub(begin), nil
}
