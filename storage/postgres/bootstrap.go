package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The roles of an installation. Migrations name them in grants.
const (
	OwnerRole    = "exportcenter_owner"
	AppRole      = "exportcenter_app"
	DispatchRole = "exportcenter_dispatch"
	// OffboardRole removes tenants that are being offboarded. An installation can do
	// without it until it wants to.
	OffboardRole = "exportcenter_offboard"
)

// DatabaseName is the database `up` makes.
const DatabaseName = "exportcenter"

// Passwords are the roles' passwords: printable ASCII, never empty, but for Offboard:
// without it that role is neither made nor changed.
type Passwords struct {
	Owner    string
	App      string
	Dispatch string
	Offboard string
}

// Bootstrap makes the roles and the database; what exists is brought to the
// given passwords and otherwise left. It is run as an administrator, once per
// installation or at every start.
func Bootstrap(ctx context.Context, adminDSN, database string, p Passwords) error {
	cfg, err := pgx.ParseConfig(adminDSN)
	if err != nil {
		return errors.New("set up database: the administrator's connection string cannot be parsed")
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("set up database: %w", classify("connect", err))
	}
	defer conn.Close(ctx) //nolint:errcheck // everything was committed
	roles := []struct{ name, password string }{
		{OwnerRole, p.Owner}, {AppRole, p.App}, {DispatchRole, p.Dispatch},
	}
	if p.Offboard != "" {
		roles = append(roles, struct{ name, password string }{OffboardRole, p.Offboard})
	}
	for _, r := range roles {
		if err := ensureRole(ctx, conn, r.name, r.password); err != nil {
			return fmt.Errorf("set up database role %s: %w", r.name, err)
		}
	}
	if err := ensureDatabase(ctx, conn, database); err != nil {
		return fmt.Errorf("set up database %s: %w", database, err)
	}
	return nil
}

// ensureRole makes a login role without any privilege of its own. CREATE ROLE
// takes no parameters, so the server itself quotes them.
func ensureRole(ctx context.Context, conn *pgx.Conn, name, password string) error {
	verifier, err := scramVerifier(password)
	if err != nil {
		return err
	}
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", name).Scan(&exists); err != nil {
		return classify("look for role", err)
	}
	if !exists {
		// Another process may have made it since: the ALTER below is enough then.
		err := format(ctx, conn, "create role %I login", name)
		if err != nil && !state(err, "42710", "23505") {
			return err
		}
	}
	return format(ctx, conn,
		"alter role %I with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password %L", name, verifier)
}

func ensureDatabase(ctx context.Context, conn *pgx.Conn, name string) error {
	var exists, super bool
	err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1),
		(select rolsuper from pg_roles where rolname = current_user)`, name).Scan(&exists, &super)
	if err != nil {
		return classify("look for database", err)
	}
	if !exists {
		if !super { // an administrator of a managed service gives the database away as a member
			if err := format(ctx, conn, "grant %I to current_user", OwnerRole); err != nil {
				return err
			}
		}
		err := format(ctx, conn, "create database %I owner %I encoding 'UTF8' locale 'C' template template0", name, OwnerRole)
		if err != nil && !state(err, "42P04", "23505") {
			return err
		}
	}
	if err := format(ctx, conn, "revoke all on database %I from public", name); err != nil {
		return err
	}
	if err := format(ctx, conn, "grant connect on database %I to %I, %I", name, AppRole, DispatchRole); err != nil {
		return err
	}
	var removes bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", OffboardRole).Scan(&removes); err != nil || !removes {
		return classify("look for role", err)
	}
	return format(ctx, conn, "grant connect on database %I to %I", name, OffboardRole)
}

// format lets the server quote args (%I identifier, %L literal) and runs the
// resulting statement.
func format(ctx context.Context, conn *pgx.Conn, pattern string, args ...string) error {
	var statement string
	if err := conn.QueryRow(ctx, "select format($1, variadic $2::text[])", pattern, args).Scan(&statement); err != nil {
		return classify("quote statement", err)
	}
	_, err := conn.Exec(ctx, statement)
	return classify("run statement", err)
}

// state reports whether err has one of the SQLSTATEs.
func state(err error, states ...string) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	for _, s := range states {
		if pg.Code == s {
			return true
		}
	}
	return false
}
