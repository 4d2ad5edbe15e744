package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/clock"
)

// runFlags are what "export run" can be told.
type runFlags struct {
	selects, labels []string
	allowEmpty      bool
	redact          string
	snapshot        string
	engine          string
	asOf            string
	mirror          string
	base, target    string
	dryRun          bool
	wait            bool
	noWaitApproval  bool
	output          string
	key             string
	format          *format
}

// runResult is what "export run" prints.
type runResult struct {
	RunID         string `json:"runId"`
	Status        string `json:"status"`
	PayloadDigest string `json:"payloadDigest"`
	RerunHash     string `json:"rerunHash"`
	ArchiveDigest string `json:"archiveDigest"`
}

func exportRunCommand(c *connection) *cobra.Command {
	var flags runFlags
	command := leaf("run PROFILE", "Run an export", cobra.ExactArgs(1), func(command *cobra.Command, args []string) error {
		request, err := flags.request(args[0])
		if err != nil {
			return err
		}
		if flags.dryRun && (flags.wait || flags.output != "") {
			return inputErrorf("--dry-run makes no run: there is nothing to wait for or to write")
		}
		if flags.output != "" {
			if err := checkOutput(flags.output); err != nil {
				return err
			}
		}
		opened, err := c.open()
		if err != nil {
			return err
		}
		if flags.dryRun {
			return priceExport(command, opened, request, flags.format)
		}
		return runExport(command, opened, request, flags)
	})
	command.Long = `Run an export of PROFILE, for example json:raw.

Without --wait the command ends once the run is recorded. --select narrows what
is taken; its keys are ` + selectKeyList + `:

  stella export run json:raw --select kind=advisory --select ecosystem=npm --output npm.tar
  stella export run json:raw --select purl='pkg:npm/lodash*' --select modified=2024-01-01..2025-01-01 --dry-run

A purl has no version; * in it stands for any characters. modified is when the
publisher last changed a document, observed when the ledger recorded it: the
first day is in the range, the last is not, and one of them may be missing.

include and exclude are ids, own or aliases, in which * stands for any characters;
exclude wins. severity is critical, high, medium, low or none, as the document says.
sample=RATE:SEED keeps a part of the documents, the same ones in every run:

  stella export run nightly --select include='GHSA-*' --select exclude=GHSA-35jh-r3h4-6jhm
  stella export run json:raw --select severity=critical --select sample=0.1:2026

A delta leads from one full mirror to a later one, for a site that has the first:

  stella export run mirror:delta --base 0192f3c4-5d6e-7f80-9a1b-2c3d4e5f6071 --output delta.tar

--redact reads an allow-list: field paths to keep by kind of evidence, and the
lists to keep of what a line repeats from its document.

  {"policyId": "acme/public", "linkset": ["products"],
   "allow": {"advisory": ["id", "affected[].package"], "vex": ["*"]}}

` + exitCodesHelp
	f := command.Flags()
	f.StringArrayVar(&flags.selects, "select", nil, "`KEY=VALUE`, may be given often")
	f.StringArrayVar(&flags.labels, "label", nil, "`KEY=VALUE` kept with the run, may be given often")
	f.BoolVar(&flags.allowEmpty, "allow-empty", false, "let a run that selects nothing succeed")
	f.StringVar(&flags.redact, "redact", "", "keep only the fields that this JSON `FILE` allows")
	f.StringVar(&flags.snapshot, "policy-snapshot", "", "id of the policy snapshot that the run names")
	f.StringVar(&flags.engine, "policy-engine", "", "who decides: opa (default), or imported, by findings that were imported")
	f.StringVar(&flags.mirror, "mirror", "", "run of the full mirror that the run belongs to: it takes the mirror's evidence, and can be built again from it")
	f.StringVar(&flags.asOf, "as-of", "", "read the ledger as of this sequence, day or time (`SEQ`, 2026-11-21, 2026-11-21T08:00:00Z)")
	f.StringVar(&flags.base, "base", "", "of mirror:delta: the `RUN` of the full mirror that it begins at")
	f.StringVar(&flags.target, "target", "", "of mirror:delta: the `RUN` of the full mirror that it leads to (default: the newest of the base's profile)")
	f.BoolVar(&flags.dryRun, "dry-run", false, "only print what the run would take: documents, bytes, shards, and what is left out")
	f.BoolVar(&flags.wait, "wait", false, "wait for the end of the run")
	f.BoolVar(&flags.noWaitApproval, "no-wait-approval", false, "with --wait: when the run waits for an approval, end with code 10 instead of waiting too")
	f.StringVar(&flags.output, "output", "", "wait, and write the bundle to `FILE`")
	f.StringVar(&flags.key, "idempotency-key", "", "the same key and request give the same run again")
	flags.format = addFormat(command)
	return command
}

func (f runFlags) request(profile string) (client.RunRequest, error) {
	selectors, err := parseSelect(f.selects)
	if err != nil {
		return client.RunRequest{}, err
	}
	labels, err := parseLabels(f.labels)
	if err != nil {
		return client.RunRequest{}, err
	}
	redaction, err := readRedaction(f.redact)
	if err != nil {
		return client.RunRequest{}, err
	}
	options := client.RunOptions{AllowEmpty: f.allowEmpty, Redaction: redaction, PolicySnapshotID: f.snapshot, PolicyEngine: client.RunOptionsPolicyEngine(f.engine),
		BaseRunID: f.base, TargetRunID: f.target, MirrorRunID: f.mirror}
	if options.AsOf, options.AsOfTime, err = pastMoment(f.asOf); err != nil {
		return client.RunRequest{}, err
	}
	return client.RunRequest{ProfileID: profile, Selectors: selectors, Labels: labels, Options: options}, nil
}

// pastMoment reads the value of --as-of: a sequence, or else a day or time; nil where
// it was not given.
func pastMoment(value string) (seq *int64, at *string, err error) {
	if value == "" {
		return nil, nil, nil
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return &n, nil, nil
	}
	text, err := parseTime(value)
	if err != nil {
		return nil, nil, inputErrorf("--as-of: want a ledger sequence or a time: %w", err)
	}
	return nil, &text, nil
}

func runExport(command *cobra.Command, c *client.Client, request client.RunRequest, flags runFlags) error {
	ctx := command.Context()
	// A key of our own lets the client repeat a request whose answer was lost.
	run, err := c.CreateRun(ctx, request, firstOf(flags.key, clock.NewID()))
	if err != nil {
		return err
	}
	if flags.wait || flags.output != "" {
		if run, err = waitForRun(ctx, c, run.RunID, flags.noWaitApproval, command.ErrOrStderr()); err != nil {
			return err
		}
		if flags.output != "" && hasBundle(run) {
			if _, err := downloadTo(ctx, c, run.RunID, flags.output, command.ErrOrStderr()); err != nil {
				return err
			}
		}
	}
	if err := printRun(command.OutOrStdout(), run, flags.format); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	if flags.noWaitApproval && undecided(run) {
		return &parkedError{exitError{errors.New(waitingText(run)), exitTransient}}
	}
	return runOutcome(run)
}

func hasBundle(run client.Run) bool {
	return run.Status == client.RunStatusSucceeded || run.Status == client.RunStatusPartial
}

// waitForRun waits for the end of a run, which a run that waits for an approval may be
// days from: it says so, once, and goes on, unless unparked wants to know that.
func waitForRun(ctx context.Context, c *client.Client, id string, unparked bool, errOut io.Writer) (client.Run, error) {
	shown := startProgress(errOut)
	defer shown.stop()
	within, stop := context.WithCancel(ctx)
	defer stop()
	var parked *client.Run
	run, err := c.WaitRun(within, id, func(run client.Run) {
		shown.say("run %s is %s: %d of %d documents packed", run.RunID, run.Status, run.Progress.RecordsDone, run.Progress.Records)
		switch {
		case !undecided(run):
		case unparked:
			parked = &run
			stop()
		case parked == nil:
			parked = &run
			shown.line(printable(waitingText(run)))
		}
	})
	if unparked && parked != nil && ctx.Err() == nil {
		return *parked, nil
	}
	if errors.Is(err, context.Canceled) {
		return run, fmt.Errorf("not waiting any more; the run goes on, see: stella export status %s", id)
	}
	return run, err
}

// runOutcome is the error of a run that did not end well.
func runOutcome(run client.Run) error {
	switch {
	case !run.Ended() || run.Status == client.RunStatusSucceeded:
		return nil
	case run.Error != nil:
		return fmt.Errorf("run %s ended %s: %s: %s (phase %s)", run.RunID, run.Status, run.Error.Code, run.Error.Message, run.Error.Phase)
	case run.Cancellation != nil:
		return fmt.Errorf("run %s ended %s: %s asked for it: %s", run.RunID, run.Status, run.Cancellation.By, run.Cancellation.Reason)
	}
	return fmt.Errorf("run %s ended %s", run.RunID, run.Status)
}

func printRun(out io.Writer, run client.Run, f *format) error {
	result := runResult{RunID: run.RunID, Status: string(run.Status), PayloadDigest: run.PayloadDigest,
		RerunHash: run.RerunHash, ArchiveDigest: run.ArchiveDigest}
	if f.machine() {
		return f.encode(out, result)
	}
	rows := [][]string{{"run", result.RunID}, {"status", result.Status}}
	for _, row := range [][]string{{"payload", result.PayloadDigest}, {"rerun hash", result.RerunHash}, {"archive", result.ArchiveDigest}} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	return printTable(out, rows)
}
