// Package pgtest gives tests a fresh, migrated database each, on the private
// cluster of their test binary.
package pgtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// Database is one test's database. It is dropped when the test ends.
type Database struct {
	*postgres.DB
	// Connection strings of the database's roles; Admin is the superuser.
	Owner, App, Dispatch, Offboard, Admin string
	Config                                postgres.Config
}

const template = "exportcenter_template"

// Passwords of the roles on test clusters.
var Passwords = postgres.Passwords{Owner: "owner-test", App: "app-test", Dispatch: "dispatch-test", Offboard: "offboard-test"}

var prepared struct {
	sync.Mutex // CREATE DATABASE ... TEMPLATE wants the template for itself
	done       bool
	err        error
	count      atomic.Int64
}

// New makes a database from the migrated template and opens it.
func New(t testing.TB) *Database {
	t.Helper()
	d := create(t, template)
	open(t, d)
	t.Cleanup(d.Close)
	return d
}

// Copies fills a database once, and gives a function that makes copies of it. It
// stays until the test binary ends.
func Copies(t testing.TB, fill func(*Database)) func(testing.TB) *Database {
	t.Helper()
	name, d := makeDatabase(t, template)
	open(t, d)
	fill(d)
	d.Close() // a database that is copied has no connections
	return func(t testing.TB) *Database {
		t.Helper()
		d := create(t, name)
		open(t, d)
		t.Cleanup(d.Close)
		return d
	}
}

func open(t testing.TB, d *Database) {
	t.Helper()
	db, err := postgres.Open(t.Context(), d.Config)
	if err != nil {
		t.Fatalf("open test database: %v", err)
	}
	d.DB = db
}

// Empty makes a database without schema; DB is nil.
func Empty(t testing.TB) *Database {
	t.Helper()
	return create(t, "template0")
}

// create makes a database that is dropped when the test ends.
func create(t testing.TB, from string) *Database {
	t.Helper()
	name, d := makeDatabase(t, from)
	t.Cleanup(func() {
		if err := run(testkit.Postgres(t), "drop database if exists "+name+" with (force)"); err != nil {
			t.Logf("drop test database: %v", err)
		}
	})
	return d
}

func makeDatabase(t testing.TB, from string) (string, *Database) {
	t.Helper()
	pg := testkit.Postgres(t)
	prepared.Lock()
	defer prepared.Unlock()
	if !prepared.done {
		prepared.done, prepared.err = true, prepare(pg)
	}
	if prepared.err != nil {
		t.Fatalf("prepare template database: %v", prepared.err)
	}
	name := fmt.Sprintf("test_%d", prepared.count.Add(1))
	if err := run(pg, "create database "+name+" owner "+postgres.OwnerRole+" template "+from); err != nil {
		t.Fatalf("create test database: %v", err)
	}
	return name, database(pg, name)
}

// run runs a statement as the superuser, also after the test's own context has
// ended.
func run(pg *testkit.PG, sql string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, pg.AdminDSN())
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // test connection
	_, err = conn.Exec(ctx, sql)
	return err
}

func database(pg *testkit.PG, name string) *Database {
	d := &Database{
		Owner:    pg.DSN(postgres.OwnerRole, Passwords.Owner, name),
		App:      pg.DSN(postgres.AppRole, Passwords.App, name),
		Dispatch: pg.DSN(postgres.DispatchRole, Passwords.Dispatch, name),
		Offboard: pg.DSN(postgres.OffboardRole, Passwords.Offboard, name),
		Admin:    pg.DSN("postgres", "test", name),
	}
	d.Config = postgres.Config{App: d.App, Dispatch: d.Dispatch}
	return d
}

func prepare(pg *testkit.PG) error {
	ctx := context.Background()
	if err := postgres.Bootstrap(ctx, pg.AdminDSN(), template, Passwords); err != nil {
		return err
	}
	return postgres.Migrate(ctx, database(pg, template).Owner)
}
