package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/tools/common/schema"
	"go.temporal.io/server/tools/sql"
)

// connectWithin is how long a start waits for PostgreSQL before it gives up;
// whoever supervises this process starts it again.
const connectWithin = 10 * time.Second

// ensureDatabases makes both databases when they are missing and brings their
// schemas to this server's version.
//
// Creating a schema takes seconds and hundreds of statements, and the process
// may be killed at any of them. So a database is filled under the name
// <name>_new and renamed when it is complete: a database that carries the
// final name is whole, and a leftover _new is dropped and begun again.
func ensureDatabases(ctx context.Context, pg Postgres) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	admin, err := connect(ctx, pg, "postgres")
	if err != nil {
		return err
	}
	defer admin.Close(context.WithoutCancel(ctx))
	for _, db := range []struct{ name, schema string }{
		{pg.Database, "postgresql/v12/temporal"},
		{pg.VisibilityDatabase, "postgresql/v12/visibility"},
	} {
		if err := ensureDatabase(ctx, admin, pg, db.name, db.schema); err != nil {
			return fmt.Errorf("database %s: %w", db.name, err)
		}
	}
	return nil
}

func ensureDatabase(ctx context.Context, admin *pgx.Conn, pg Postgres, name, schemaName string) error {
	var there bool
	if err := admin.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, name).Scan(&there); err != nil {
		return fmt.Errorf("look for it: %w", err)
	}
	if there {
		return migrate(pg, name, schemaName, false)
	}
	unfinished := name + "_new"
	quoted := pgx.Identifier{unfinished}.Sanitize()
	// FORCE ends sessions that a killed predecessor left behind.
	if _, err := admin.Exec(ctx, `DROP DATABASE IF EXISTS `+quoted+` WITH (FORCE)`); err != nil {
		return fmt.Errorf("drop the unfinished %s: %w", unfinished, err)
	}
	if _, err := admin.Exec(ctx, `CREATE DATABASE `+quoted); err != nil {
		return fmt.Errorf("create %s: %w", unfinished, err)
	}
	if err := migrate(pg, unfinished, schemaName, true); err != nil {
		return err
	}
	if err := renameInside(ctx, pg, unfinished, name); err != nil {
		return err
	}
	_, err := admin.Exec(ctx, `ALTER DATABASE `+quoted+` RENAME TO `+pgx.Identifier{name}.Sanitize())
	if err != nil {
		return fmt.Errorf("rename %s: %w", unfinished, err)
	}
	return nil
}

// migrate runs the server's own schema tool, from the first version when
// fresh is set. On a database at the current version it changes nothing.
func migrate(pg Postgres, database, schemaName string, fresh bool) error {
	logger := quietLogger()
	conn, err := sql.NewConnection(sqlConfig(pg, database, 1), logger)
	if err != nil {
		return fmt.Errorf("connect the schema tool: %w", err)
	}
	defer conn.Close()
	if fresh {
		if err := schema.NewSetupSchemaTask(conn, &schema.SetupConfig{InitialVersion: "0.0"}, logger).Run(); err != nil {
			return fmt.Errorf("set up schema versions: %w", err)
		}
	}
	update := &schema.UpdateConfig{DBName: database, SchemaName: schemaName}
	if err := schema.NewUpdateSchemaTask(conn, update, logger).Run(); err != nil {
		return fmt.Errorf("bring schema %s up to date: %w", schemaName, err)
	}
	return nil
}

// renameInside tells the schema table the database's final name: the server
// looks its version up by name.
func renameInside(ctx context.Context, pg Postgres, database, final string) error {
	conn, err := connect(ctx, pg, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `UPDATE schema_version SET db_name = $1 WHERE db_name = $2`, final, database); err != nil {
		return fmt.Errorf("name the schema version: %w", err)
	}
	return nil
}

// connect dials PostgreSQL, patiently: it may be starting or recovering.
func connect(ctx context.Context, pg Postgres, database string) (*pgx.Conn, error) {
	dsn := url.URL{
		Scheme: "postgres", Host: pg.Address, Path: "/" + database,
		User: url.UserPassword(pg.User, pg.Password), RawQuery: "sslmode=disable",
	}
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, dsn.String())
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("PostgreSQL at %s did not accept %s within %s: %w", pg.Address, pg.User, connectWithin, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func sqlConfig(pg Postgres, database string, conns int) *config.SQL {
	return &config.SQL{
		PluginName:      postgresql.PluginNamePGX,
		ConnectProtocol: "tcp",
		ConnectAddr:     pg.Address,
		User:            pg.User,
		Password:        pg.Password,
		DatabaseName:    database,
		MaxConns:        conns,
		MaxIdleConns:    conns,
	}
}
