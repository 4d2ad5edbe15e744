package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable is goose's own table: the only one without a tenant wall.
const versionTable = "goose_db_version"

// Migrate brings the schema up to this release. It is run as the owner, may be
// run by several processes at once (a session lock lets one work), and each
// migration is one transaction: killed in the middle, it starts again.
func Migrate(ctx context.Context, ownerDSN string) error {
	return withProvider(ownerDSN, func(p *goose.Provider) error {
		if _, err := p.Up(ctx); err != nil {
			return fmt.Errorf("migrate database: %w", err)
		}
		return grantOffboarding(ctx, ownerDSN)
	})
}

// grantOffboarding gives the role that removes tenants what it lacks, when it was
// made later than the tables (00017).
func grantOffboarding(ctx context.Context, ownerDSN string) error {
	conn, err := pgx.Connect(ctx, ownerDSN)
	if err != nil {
		return fmt.Errorf("migrate database: %w", classify("connect", err))
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // everything was committed
	if _, err := conn.Exec(ctx, "select grant_offboarding()"); err != nil {
		return fmt.Errorf("migrate database: rights of %s: %w", OffboardRole, classify("grant", err))
	}
	return nil
}

// migrateDown takes the schema back to version; for tests.
func migrateDown(ctx context.Context, ownerDSN string, version int64) error {
	return withProvider(ownerDSN, func(p *goose.Provider) error {
		if _, err := p.DownTo(ctx, version); err != nil {
			return fmt.Errorf("migrate database down: %w", err)
		}
		return nil
	})
}

func withProvider(ownerDSN string, use func(*goose.Provider) error) (err error) {
	if ownerDSN == "" {
		return errors.New("migrate database: no connection string for the owner (database.owner)")
	}
	cfg, err := pgx.ParseConfig(ownerDSN)
	if err != nil {
		return errors.New("migrate database: the owner's connection string cannot be parsed")
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	return use(provider)
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	// Try each second for two minutes: another process may be migrating.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
	if err != nil {
		return nil, fmt.Errorf("make migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithSessionLocker(locker), goose.WithGoMigrations(blocksMigration()), goose.WithDisableGlobalRegistry(true), goose.WithTableName(versionTable))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}
