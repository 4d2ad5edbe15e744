package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
)

func exportCommand() *cobra.Command {
	var c connection
	command := group("export", "Run exports and fetch their bundles", "Run exports and fetch their bundles.\n\n"+exitCodesHelp)
	c.addFlags(command)
	command.AddCommand(exportRunCommand(&c), exportListCommand(&c), exportStatusCommand(&c),
		exportCancelCommand(&c), exportEventsCommand(&c), exportVerifyCommand(&c), exportAttestationCommand(&c), exportDownloadCommand(&c), exportPlanCommand(&c), exportRebuildCommand(&c), exportProfileCommand(&c), exportApproveCommand(), exportOpenCommand(),
		exportGuardCommand(&c), exportDiffCommand(&c), exportReleaseCommand(&c), exportRejectCommand(&c), exportLatestCommand(&c))
	c.addCompletion(command)
	return command
}

func exportListCommand(c *connection) *cobra.Command {
	var status, profile, label, requestedBy, from, to, cursor string
	var limit int
	var f *format
	command := leaf("list", "List runs, newest first", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		params := client.ListRunsParams{Limit: &limit}
		if status != "" {
			params.Status = (*client.RunStatus)(&status)
		}
		for _, given := range []struct {
			value string
			param **string
		}{{profile, &params.Profile}, {label, &params.Label}, {requestedBy, &params.RequestedBy}, {cursor, &params.Cursor}} {
			if given.value != "" {
				*given.param = &given.value
			}
		}
		for _, given := range []struct {
			flag, value string
			param       **string
		}{{"from", from, &params.From}, {"to", to, &params.To}} {
			if given.value == "" {
				continue
			}
			at, err := parseTime(given.value)
			if err != nil {
				return inputErrorf("--%s: %w", given.flag, err)
			}
			*given.param = &at
		}
		page, err := opened.ListRuns(command.Context(), params)
		if err != nil {
			return err
		}
		if f.machine() {
			return f.encode(command.OutOrStdout(), page)
		}
		rows := [][]string{{"RUN", "STATUS", "PROFILE", "REQUESTED", "BYTES", "NOTE"}}
		for _, run := range page.Runs {
			size := ""
			if run.ArchiveBytes > 0 {
				size = strconv.FormatInt(run.ArchiveBytes, 10)
			}
			rows = append(rows, []string{run.RunID, string(run.Status), run.Profile.Kind + ":" + run.Profile.Variant,
				run.RequestedAt.UTC().Format(time.RFC3339), size, note(run)})
		}
		if page.NextCursor != "" {
			rows = append(rows, []string{"more: --cursor " + page.NextCursor})
		}
		return printTable(command.OutOrStdout(), rows)
	})
	flags := command.Flags()
	flags.StringVar(&status, "status", "", "only runs in this state")
	flags.StringVar(&profile, "profile", "", "only runs of this profile, by id or name")
	flags.StringVar(&label, "label", "", "only runs with this label, `KEY=VALUE`")
	flags.StringVar(&requestedBy, "requested-by", "", "only runs that this subject asked for")
	flags.StringVar(&from, "from", "", "only runs asked for on this day or later, or since this time")
	flags.StringVar(&to, "to", "", "only runs asked for before this day or time")
	flags.IntVar(&limit, "limit", 50, "at most this many, 1 to 200")
	flags.StringVar(&cursor, "cursor", "", "continue a list")
	f = addFormat(command)
	return command
}

func exportStatusCommand(c *connection) *cobra.Command {
	var f *format
	command := leaf("status RUN", "Show a run, its digests and how to verify its signatures", oneRun,
		func(command *cobra.Command, args []string) error {
			opened, err := c.open()
			if err != nil {
				return err
			}
			run, err := opened.GetRun(command.Context(), args[0])
			if err != nil {
				return err
			}
			if f.machine() {
				return f.encode(command.OutOrStdout(), run)
			}
			return printTable(command.OutOrStdout(), statusRows(run))
		})
	f = addFormat(command)
	return command
}

// oneRun takes one run id; whatever else was typed never becomes part of a
// path or a file name.
func oneRun(command *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(1)(command, args); err != nil {
		return err
	}
	if !export.ValidRunID(args[0]) {
		return fmt.Errorf("%q is not a run id (a lower-case UUID)", args[0])
	}
	return nil
}

// note says of a run why its bundle is not its profile's next one, or how it leaves.
func note(run client.Run) string {
	var notes []string
	if run.RebuildOf != "" {
		notes = append(notes, "rebuild of "+run.RebuildOf)
	}
	if run.Options.AsOf != nil {
		notes = append(notes, "as of "+strconv.FormatInt(*run.Options.AsOf, 10))
	}
	if run.Options.MirrorRunID != "" {
		notes = append(notes, "of mirror "+run.Options.MirrorRunID)
	}
	if run.Encryption != nil {
		notes = append(notes, "encrypted")
	}
	return strings.Join(notes, ", ")
}

// statusRows are the lines of "export status": what is known, nothing else.
func statusRows(run client.Run) [][]string {
	var rows [][]string
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("run", run.RunID)
	add("status", string(run.Status))
	add("profile", fmt.Sprintf("%s:%s (revision %d)", run.Profile.Kind, run.Profile.Variant, run.Profile.Revision))
	add("project", run.Project)
	add("requested", run.RequestedAt.UTC().Format(time.RFC3339)+" by "+run.RequestedBy)
	switch {
	case run.Options.AsOf != nil:
		add("as of", strconv.FormatInt(*run.Options.AsOf, 10)+", which was asked for")
	case run.AsOf > 0:
		add("as of", strconv.FormatInt(run.AsOf, 10))
	}
	add("of mirror", run.Options.MirrorRunID)
	add("rebuild of", run.RebuildOf)
	if e := run.Encryption; e != nil {
		add("encrypted", fmt.Sprintf("mode %s, for %s", e.Mode, strings.Join(e.Recipients, ", ")))
	}
	if !run.CompletedAt.IsZero() {
		add("completed", run.CompletedAt.UTC().Format(time.RFC3339))
	}
	add("documents", fmt.Sprintf("%d of %d", run.Progress.RecordsDone, run.Progress.Records))
	if run.Error != nil {
		add("error", fmt.Sprintf("%s: %s (phase %s)", run.Error.Code, run.Error.Message, run.Error.Phase))
	}
	if run.Cancellation != nil {
		add("cancel", fmt.Sprintf("asked for by %s: %s", run.Cancellation.By, run.Cancellation.Reason))
	}
	if w := run.Wait; w != nil {
		add("waits", w.WaitingSince.UTC().Format(time.RFC3339)+" to "+w.ExpiresAt.UTC().Format(time.RFC3339)+": "+w.Why)
		if d := w.Decision; d != nil {
			add(string(d.Verdict), "by "+d.By+": "+d.Reason)
		}
	}
	add("payload", run.PayloadDigest)
	add("rerun hash", run.RerunHash)
	add("manifest", run.ManifestDigest)
	add("archive", run.ArchiveDigest)
	if run.ArchiveBytes > 0 {
		add("bytes", strconv.FormatInt(run.ArchiveBytes, 10))
	}
	for _, s := range run.Signatures {
		add("signed", s.Artifact+" by "+s.KeyID)
		add("  verify", s.Verify)
	}
	return rows
}

func exportCancelCommand(c *connection) *cobra.Command {
	var reason string
	var f *format
	command := leaf("cancel RUN", "Ask a run to end", oneRun, func(command *cobra.Command, args []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		run, err := opened.CancelRun(command.Context(), args[0], reason)
		if err != nil {
			return err
		}
		if f.machine() {
			return f.encode(command.OutOrStdout(), run)
		}
		return printTable(command.OutOrStdout(), [][]string{{"run " + run.RunID + " is asked to end; it was " + string(run.Status)}})
	})
	command.Flags().StringVar(&reason, "reason", "", "why; it is kept with the run")
	f = addFormat(command)
	return command
}

// parseLabels reads the values of --label.
func parseLabels(values []string) (client.Labels, error) {
	labels := client.Labels{}
	for _, value := range values {
		key, text, found := strings.Cut(value, "=")
		if !found || key == "" {
			return nil, inputErrorf("--label %q: want key=value", value)
		}
		if _, twice := labels[key]; twice {
			return nil, inputErrorf("--label %q: the key %q is there twice", value, key)
		}
		labels[key] = text
	}
	return labels, nil
}
