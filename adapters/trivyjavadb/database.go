package trivyjavadb

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	_ "modernc.org/sqlite" // the driver
)

// databaseName is the file's name in Trivy's cache.
const databaseName = "trivy-java.db"

// libraryName must name the version in go.mod; a test compares them. Another
// version may lay out pages in another way, so it is in the summary, and a new
// one is a new Version of this adapter.
const libraryName = "modernc.org/sqlite@v1.60.1"

// pragmas make the file depend on what is written alone. They hold for the one
// connection that writes it, so nothing may open a second.
var pragmas = []string{
	"page_size = 4096", "auto_vacuum = 0", "encoding = 'UTF-8'",
	"journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", // who is killed begins again
	"cache_size = -8192", // KiB; sorts for indexes beyond it go to files
}

// tables and indexes are schema 1 of trivy-java-db.
var (
	tables = []string{
		"CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT)",
		"CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT, foreign key (artifact_id) references artifacts(id))",
	}
	indexes = []string{
		"CREATE UNIQUE INDEX artifacts_idx ON artifacts(artifact_id, group_id)",
		"CREATE INDEX indices_artifact_idx ON indices(artifact_id)",
		"CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1)",
	}
)

// writeDatabase writes what is decided into a new file, in sorted order, and opens
// that. Indexes are made when the tables are full, and the file is written once
// more by VACUUM INTO, so that its pages have one order.
func (b *building) writeDatabase(ctx context.Context) (*os.File, error) {
	raw, path := filepath.Join(b.in.Scratch, "raw.db"), filepath.Join(b.in.Scratch, databaseName)
	if err := b.fill(ctx, raw, path); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err() // and not that SQLite was interrupted
		}
		return nil, fmt.Errorf("write %s: %w", databaseName, err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := fixHeader(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, os.Remove(raw)
}

func (b *building) fill(ctx context.Context, raw, path string) (err error) {
	db, err := sql.Open("sqlite", raw)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := sortIn(ctx, conn, filepath.Dir(b.in.Scratch)); err != nil {
		return err
	}
	for _, p := range pragmas {
		if err := execute(ctx, conn, "PRAGMA "+p); err != nil {
			return err
		}
	}
	if err := execute(ctx, conn, tables...); err != nil {
		return err
	}
	if err := b.insertAll(ctx, conn); err != nil {
		return err
	}
	if err := execute(ctx, conn, indexes...); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	return nil
}

// sorting guards SQLite's directory for temporary files, of which a process has one.
var sorting sync.Mutex

// sortIn makes SQLite put the files that it sorts with into dir, and not into
// /var/tmp, where a worker may have no room. It unlinks them as soon as they are
// open. dir is that of all attempts, so builds of one process agree on it and
// none sets it while another sorts.
func sortIn(ctx context.Context, conn *sql.Conn, dir string) error {
	sorting.Lock()
	defer sorting.Unlock()
	const pragma = "PRAGMA temp_store_directory"
	var now string
	if err := conn.QueryRowContext(ctx, pragma).Scan(&now); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", pragma, err)
	}
	if now == dir {
		return nil
	}
	return execute(ctx, conn, pragma+" = '"+strings.ReplaceAll(dir, "'", "''")+"'")
}

func execute(ctx context.Context, conn *sql.Conn, statements ...string) error {
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// insertAll inserts all rows in one transaction.
func (b *building) insertAll(ctx context.Context, conn *sql.Conn) (err error) {
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	artifacts, err := tx.Prepare("INSERT INTO artifacts(id, group_id, artifact_id) VALUES (?, ?, ?)")
	if err != nil {
		return err
	}
	defer artifacts.Close() //nolint:errcheck // it is read from no more
	indices, err := tx.Prepare("INSERT INTO indices(artifact_id, version, sha1, archive_type) VALUES (?, ?, ?, ?)")
	if err != nil {
		return err
	}
	defer indices.Close() //nolint:errcheck // it is read from no more
	group, artifact := "", ""
	for line, err := range b.byName.Sorted(ctx) { // which looks at ctx
		if err != nil {
			return err
		}
		f := strings.Split(string(line), separator)
		if f[0] != group || f[1] != artifact {
			group, artifact = f[0], f[1]
			b.tally.Artifacts++
			if _, err := artifacts.Exec(b.tally.Artifacts, group, artifact); err != nil {
				return err
			}
		}
		sha1, err := hex.DecodeString(f[3])
		if err != nil {
			return err
		}
		b.tally.Indices++
		if _, err := indices.Exec(b.tally.Artifacts, f[2], sha1, f[4]); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Bytes 96 to 99 of an SQLite file are the number of the library that wrote it
// last (sqlite.org/fileformat2.html section 1.3.16). No reader decides by them;
// they would only make a new release of the library give other bytes for the same
// content. So they hold the first version whose files have this form, 3.0.0, and
// the summary names the library.
const (
	writerAt     = 96
	writerNumber = 3_000_000
)

func fixHeader(file *os.File) error {
	_, err := file.WriteAt(binary.BigEndian.AppendUint32(nil, writerNumber), writerAt)
	return err
}
