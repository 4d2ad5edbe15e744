package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

func migrateCommand() *cobra.Command {
	var where place
	var admin string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database to this version; may be run at any time",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := where.load()
			if err != nil {
				return err
			}
			ctx, stop := untilAsked(cmd)
			defer stop()
			log := serviceLog("migrate")
			if err := migrate(ctx, cfg, admin); err != nil {
				log.Error("database is not up to date", "error", err.Error())
				return logged{err}
			}
			log.Info("database is up to date")
			return nil
		},
	}
	where.addFlags(cmd)
	cmd.Flags().StringVar(&admin, "admin", "",
		"`FILE` with an administrator's connection string: makes the roles and the database first")
	return cmd
}

func migrate(ctx context.Context, cfg config.Config, adminFile string) error {
	if adminFile != "" {
		if err := bootstrap(ctx, cfg, adminFile); err != nil {
			return err
		}
	}
	return postgres.Migrate(ctx, cfg.Database.Owner)
}

// bootstrap makes the database and the roles with the passwords that the
// configuration's connection strings hold.
func bootstrap(ctx context.Context, cfg config.Config, adminFile string) error {
	admin, err := os.ReadFile(adminFile)
	if err != nil {
		return fmt.Errorf("read the administrator's connection string: %w", err)
	}
	var p postgres.Passwords
	database := ""
	for _, role := range []struct {
		field, dsn, name string
		password         *string
	}{
		{"database.owner", cfg.Database.Owner, postgres.OwnerRole, &p.Owner},
		{"database.app", cfg.Database.App, postgres.AppRole, &p.App},
		{"database.dispatch", cfg.Database.Dispatch, postgres.DispatchRole, &p.Dispatch},
		{"database.offboard", cfg.Database.Offboard, postgres.OffboardRole, &p.Offboard},
	} {
		if role.name == postgres.OffboardRole && role.dsn == "" {
			continue // nobody is to be removed here yet
		}
		parsed, err := pgconn.ParseConfig(role.dsn)
		if err != nil { // the message could hold the password
			return fmt.Errorf("%s is not a connection string", role.field)
		}
		if parsed.User != role.name || parsed.Password == "" {
			return fmt.Errorf("%s must name the user %s and its password", role.field, role.name)
		}
		*role.password, database = parsed.Password, parsed.Database
	}
	if database == "" {
		return errors.New("database.owner names no database")
	}
	return postgres.Bootstrap(ctx, string(bytes.TrimSpace(admin)), database, p)
}
