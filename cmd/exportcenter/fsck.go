package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/fsck"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// errDiverged: fsck looked at everything and found something. It is told in
// the output; main ends with 2.
var errDiverged = errors.New("divergences found")

func fsckCommand() *cobra.Command {
	var where place
	var format string
	var repair bool
	check := fsck.Check{Clock: clock.System}
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Compare database and blob store, name what diverges and say what to do",
		Long: "Compares rows, blobs and events of all tenants, and names each divergence with what to do about it. It changes nothing, unless --repair " +
			"is given: then what can be mended without losing anything is mended. Both may run at any time; " +
			"after the database was restored from a backup, look without --repair first. " +
			"Exit code 0: nothing is left to do, 2: something is, 1: it could not look at everything. Kinds: docs/formats/fsck.md.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			newOutput, known := fsckFormats[format]
			if !known {
				return fmt.Errorf("--format %q: choose table or json", format)
			}
			if check.Patience < 0 {
				return errors.New("--patience is negative")
			}
			cfg, err := where.load()
			if err != nil {
				return err
			}
			ctx, stop := untilAsked(cmd)
			defer stop()
			out := bufio.NewWriter(cmd.OutOrStdout())
			err = runFsck(ctx, cfg, check, repair, newOutput(out))
			return errors.Join(err, out.Flush())
		},
	}
	where.addFlags(cmd)
	cmd.Flags().StringVar(&format, "format", "table", "`FORMAT` of the output: table or json")
	cmd.Flags().BoolVar(&check.Deep, "deep", false, "read all blobs and documents and compare them with their digests")
	cmd.Flags().BoolVar(&repair, "repair", false, "mend what can be mended without losing evidence, a bundle or the trace of a mistake")
	cmd.Flags().DurationVar(&check.Patience, "patience", fsck.DefaultPatience,
		"how long something may be on its way before it is named; 0s for an installation at rest")
	return cmd
}

// runFsck looks, mends if it is to, and tells out as it goes.
func runFsck(ctx context.Context, cfg config.Config, check fsck.Check, repair bool, out fsckOutput) error {
	var found fsckFound
	looked, err := lookAt(ctx, cfg, check, repair, func(d fsck.Divergence) error {
		if found.all++; d.Repaired {
			found.repaired++
		}
		return out.divergence(d)
	})
	if err := errors.Join(err, out.end(found, looked, err)); err != nil {
		return fmt.Errorf("fsck could not look at everything: %w", err)
	}
	if found.all > found.repaired {
		return errDiverged
	}
	return nil
}

// lookAt opens both stores: for reading only, unless it is to repair.
func lookAt(ctx context.Context, cfg config.Config, check fsck.Check, repair bool, report func(fsck.Divergence) error) (fsck.Looked, error) {
	db, err := postgres.Open(ctx, postgres.Config{App: cfg.Database.App, Dispatch: cfg.Database.Dispatch, MaxConns: 4})
	if err != nil {
		return fsck.Looked{}, err
	}
	defer db.Close()
	blobs, err := files.OpenSurvey(cfg.Blobs.Dir)
	if err != nil {
		return fsck.Looked{}, err
	}
	defer blobs.Close() //nolint:errcheck // read only
	if repair {
		mend, err := files.OpenRepair(cfg.Blobs.Dir)
		if err != nil {
			return fsck.Looked{}, err
		}
		defer mend.Close() //nolint:errcheck // it only removes
		check.Repairs = fsckRepairs{postgres.NewRepair(db), mend}
	}
	check.Records, check.Files, check.Limits = postgres.NewSurvey(db), blobs, runLimits(cfg)
	return check.Run(ctx, report)
}

// fsckRepairs mends rows and files.
type fsckRepairs struct {
	*postgres.Repair
	*fileRepair
}

type fileRepair = files.Repair
