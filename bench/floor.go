package main

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"
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
	copyIn  = `COPY bench_import (line) FROM STDIN WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')`
	copyOut = `COPY (SELECT line FROM bench_floor ORDER BY n) TO STDOUT`
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
// archive, in their order.
func (b *bench) loadFloor(ctx context.Context) error {
	conn, err := b.house.connect(ctx, floorDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // the statements told how they went
	file, err := os.Open(b.archive)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := &payloadLines{archive: tar.NewReader(bufio.NewReaderSize(file, 1<<20))}
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{"bench_floor"}, []string{"n", "line"}, lines); err != nil {
		return fmt.Errorf("load the floor: %w", err)
	}
	for _, s := range []string{"vacuum analyze bench_floor", "checkpoint"} {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return b.house.holds(ctx, "bench_floor", int64(b.docs.count))
}

// payloadLines reads the payload lines of an archive (pgx.CopyFromSource).
type payloadLines struct {
	archive *tar.Reader
	packed  *zstd.Decoder
	lines   *bufio.Reader // nil between two files
	n       int64
	line    string
	err     error
}

func (p *payloadLines) Next() bool {
	for {
		if p.lines == nil && !p.nextFile() {
			return false
		}
		line, err := p.lines.ReadString('\n')
		if err == nil {
			p.n++
			p.line = strings.TrimSuffix(line, "\n")
			return true
		}
		p.packed.Close()
		if p.lines = nil; !errors.Is(err, io.EOF) || line != "" {
			p.err = fmt.Errorf("read payload: %w", err)
			return false
		}
	}
}

func (p *payloadLines) nextFile() bool {
	for {
		header, err := p.archive.Next()
		if errors.Is(err, io.EOF) {
			return false
		}
		if err != nil {
			p.err = err
			return false
		}
		if !strings.HasPrefix(header.Name, "data/raw/") {
			continue
		}
		if p.packed, p.err = zstd.NewReader(p.archive); p.err != nil {
			return false
		}
		p.lines = bufio.NewReaderSize(p.packed, 1<<20)
		return true
	}
}

func (p *payloadLines) Values() ([]any, error) { return []any{p.n, p.line}, nil }
func (p *payloadLines) Err() error             { return p.err }

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

// pipeline connects commands as a shell does, without our hands in between,
// and waits for all of them.
func pipeline(commands ...*exec.Cmd) error {
	var ends []*os.File
	for i := range commands[1:] {
		read, write, err := os.Pipe()
		if err != nil {
			return err
		}
		commands[i].Stdout, commands[i+1].Stdin = write, read
		ends = append(ends, read, write)
	}
	var failures []error
	started := 0
	for _, cmd := range commands {
		if err := cmd.Start(); err != nil {
			failures = append(failures, err)
			break
		}
		started++
	}
	for _, end := range ends {
		end.Close() //nolint:errcheck // the commands have their own
	}
	for _, cmd := range commands[:started] {
		if err := cmd.Wait(); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", cmd.Args[0], err))
		}
	}
	return errors.Join(failures...)
}
