package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/offboarding/removal"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// errNotRemoved: the tenant is not one that may be removed. main ends with 2.
var errNotRemoved = errors.New("nothing was removed")

const offboardHelp = `Removes everything that a tenant has here, and keeps a signed record of what that was.

It is for a tenant that somebody has asked to be offboarded with "stella tenant offboard", works as a database
role of its own (database.offboard of the configuration), and may be cut off and run again at any time. The house
may be running; on one machine it must, because its database is part of it. docs/offboarding.md says what is
removed, in which order, and what stays.

Exit code 0: nothing of the tenant is left, 2: the tenant is not being offboarded, 1: it was cut off; run it again.`

func offboardCommand() *cobra.Command {
	var where place
	var tenant, format string
	cmd := &cobra.Command{
		Use:   "offboard --tenant T",
		Short: "Remove a tenant that is being offboarded, and sign the record of it",
		Long:  offboardHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, known := offboardFormats[format]
			if !known {
				return fmt.Errorf("--format %q: choose table or json", format)
			}
			if !export.ValidTenant(tenant) {
				return fmt.Errorf("--tenant %q: a tenant's name has 1 to 63 lower-case letters, digits and inner hyphens", tenant)
			}
			cfg, err := where.load()
			if err != nil {
				return err
			}
			ctx, stop := untilAsked(cmd)
			defer stop()
			removed, err := offboard(ctx, cfg, tenant, newProgress(cmd.ErrOrStderr(), clock.System))
			if err != nil {
				return fmt.Errorf("offboard %s: %w", tenant, err)
			}
			return write(cmd.OutOrStdout(), removed)
		},
	}
	where.addFlags(cmd)
	cmd.Flags().StringVar(&tenant, "tenant", "", "`NAME` of the tenant")
	cmd.Flags().StringVar(&format, "format", "table", "`FORMAT` of the output: table or json")
	cmd.MarkFlagRequired("tenant") //nolint:errcheck // the flag is there
	return cmd
}

// offboard removes a tenant. It is in the audit record of the installation before
// anything is removed, and again with what came of it.
func offboard(ctx context.Context, cfg config.Config, tenant string, tell func(removal.Progress)) (removed offboarded, err error) {
	if cfg.Database.Offboard == "" {
		return removed, errors.New("database.offboard is not set: the connection string of the role exportcenter_offboard; " +
			"`exportcenter migrate --admin` makes the role (docs/offboarding.md)")
	}
	signer, err := loadSigner(cfg.Signing)
	if err != nil {
		return removed, err
	}
	db, err := postgres.Open(ctx, postgres.Config{App: cfg.Database.App, Dispatch: cfg.Database.Dispatch, MaxConns: 2})
	if err != nil {
		return removed, err
	}
	defer db.Close()
	rows, err := postgres.OpenOffboarding(ctx, cfg.Database.Offboard)
	if err != nil {
		return removed, err
	}
	defer rows.Close()
	blobs, err := files.OpenRemoval(cfg.Blobs.Dir)
	if err != nil {
		return removed, err
	}
	defer blobs.Close() //nolint:errcheck // it only removes

	call := audit.Entry{RequestID: clock.NewID(), Subject: "exportcenter offboard", Operation: "offboard", Method: "other", Path: "/api/tenants/" + tenant}
	if err := note(ctx, db, call, audit.CallBegun, 0); err != nil {
		return removed, fmt.Errorf("nothing was removed, because it could not be recorded for audit: %w", err)
	}
	work := removal.Removal{Rows: rows, Files: blobs, Signer: signer, Clock: clock.System, Tell: tell}
	_, err = work.Run(ctx, tenant)
	status, err := statusOf(err)
	if noted := note(context.WithoutCancel(ctx), db, call, audit.CallEnded, status); err != nil || noted != nil {
		return removed, errors.Join(err, noted)
	}
	return whatWasRemoved(ctx, db, tenant)
}

// statusOf is the status of a call that ended like this.
func statusOf(err error) (int, error) {
	switch {
	case err == nil:
		return http.StatusOK, nil
	case errors.Is(err, storage.ErrNotFound):
		return http.StatusNotFound, fmt.Errorf("%w: this installation has no such tenant", errNotRemoved)
	case errors.Is(err, removal.ErrNotAsked):
		return http.StatusConflict, fmt.Errorf("%w: %w", errNotRemoved, err)
	}
	return http.StatusInternalServerError, fmt.Errorf("%w; run it again, it goes on where it was", err)
}

// note writes an entry into the installation's audit record.
func note(ctx context.Context, db *postgres.DB, call audit.Entry, event audit.Event, status int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	call.Event, call.At, call.Status = event, clock.System(), status
	return postgres.NewAudit(db).Append(ctx, audit.Installation, []audit.Entry{call})
}

// newProgress tells out how far a removal is: a line for each step when it begins,
// and one every ten seconds while it goes on.
func newProgress(out io.Writer, now clock.Clock) func(removal.Progress) {
	const every = 10 * time.Second
	var last removal.Progress
	var at time.Time
	return func(p removal.Progress) {
		if p.Step != last.Step || now().Sub(at) >= every {
			fmt.Fprintf(out, "removing %s: %d\n", p.Step, p.Done) //nolint:errcheck // progress is for whoever looks
			at = now()
		}
		last = p
	}
}
