package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
)

func exportGuardCommand(c *connection) *cobra.Command {
	var f *format
	command := leaf("guard RUN", "Show what the guard found when it held a run against the last one", oneRun,
		func(command *cobra.Command, args []string) error {
			opened, err := c.open()
			if err != nil {
				return err
			}
			report, err := opened.GuardReport(command.Context(), args[0])
			if err != nil {
				return err
			}
			if f.machine() {
				return f.encode(command.OutOrStdout(), report)
			}
			return printTable(command.OutOrStdout(), guardRows(report))
		})
	command.Long = `Show what the guard found when it held a run against the last one of its profile and
selection that was published: why it waits, what each source gave, and which documents
disappeared. --format json has the whole lists.

` + exitCodesHelp
	f = addFormat(command)
	return command
}

// goneShown is how many documents that disappeared a person is shown.
const goneShown = 20

func guardRows(r client.GuardReport) [][]string {
	rows := [][]string{{"run", r.RunID}, {"looked at", r.At.UTC().Format(time.RFC3339)}}
	add := func(name, format string, args ...any) {
		rows = append(rows, []string{name, fmt.Sprintf(format, args...)})
	}
	if r.Baseline == nil {
		add("held against", "nothing: no run of this profile and selection was published before")
	} else {
		add("held against", "run %s of %s", r.Baseline.RunID, r.Baseline.RequestedAt.UTC().Format(time.RFC3339))
	}
	if !r.Parked {
		add("result", "nothing shrank")
	}
	for _, reason := range r.Reasons {
		add("reason", "%s", reason.Message)
	}
	if more := r.ReasonsTotal - len(r.Reasons); more > 0 {
		add("", "and %d more", more)
	}
	for _, s := range r.Sources {
		add("source", "%s: %s documents, %s records", sourceName(s), beforeAndNow(s, func(c client.GuardCounts) int64 { return c.Documents }),
			beforeAndNow(s, func(c client.GuardCounts) int64 { return c.Records }))
	}
	for _, canary := range r.Canaries {
		add("canary", "%s: %s", canary.ID, map[bool]string{true: "found", false: "not found"}[canary.Found])
	}
	if r.Disappeared.Unknown != "" {
		add("disappeared", "unknown: %s", r.Disappeared.Unknown)
		return rows
	}
	add("disappeared", "%d documents", r.Disappeared.Total)
	for _, gone := range r.Disappeared.Documents[:min(len(r.Disappeared.Documents), goneShown)] {
		add("", "%s of %s%s", gone.ID, gone.Source, map[bool]string{true: ", withdrawn"}[gone.Withdrawn])
	}
	if more := r.Disappeared.Total - goneShown; more > 0 {
		add("", "and %d more: --format json", more)
	}
	return rows
}

func sourceName(s client.GuardSource) string {
	if s.Stream == "" {
		return s.Source + " (" + s.Kind + ")"
	}
	return s.Source + "/" + s.Stream + " (" + s.Kind + ")"
}

func beforeAndNow(s client.GuardSource, of func(client.GuardCounts) int64) string {
	count := func(c *client.GuardCounts) string {
		if c == nil {
			return "none"
		}
		return strconv.FormatInt(of(*c), 10)
	}
	return count(s.Before) + " -> " + count(s.Now)
}

// exportDecideCommand is "export release" or "export reject".
func exportDecideCommand(c *connection, use, short, long, done string,
	decide func(*client.Client, context.Context, string, string) (client.Run, error)) *cobra.Command {
	var reason string
	var f *format
	command := leaf(use, short, oneRun, func(command *cobra.Command, args []string) error {
		if reason == "" {
			return inputErrorf("--reason: say why; it is kept with the run and in the audit record")
		}
		opened, err := c.open()
		if err != nil {
			return err
		}
		run, err := decide(opened, command.Context(), args[0], reason)
		if err != nil {
			return err
		}
		if f.machine() {
			return f.encode(command.OutOrStdout(), run)
		}
		return printTable(command.OutOrStdout(), [][]string{{"run " + run.RunID + " " + done}})
	})
	command.Long = long + "\n\n" + exitCodesHelp
	command.Flags().StringVar(&reason, "reason", "", "why; it is kept with the run")
	f = addFormat(command)
	return command
}

func exportReleaseCommand(c *connection) *cobra.Command {
	return exportDecideCommand(c, "release RUN", "Let a run that waits for an approval go on",
		`Approve the result of a run that waits because it shrank (scope export:approve): it goes
on as soon as a slot is free. Look at it first: stella export guard RUN. The first decision
stands. ("stella export approve" is about reading other tenants' evidence.)`,
		"is approved; it goes on as soon as a slot is free", (*client.Client).ApproveRun)
}

func exportRejectCommand(c *connection) *cobra.Command {
	return exportDecideCommand(c, "reject RUN", "End a run that waits for an approval",
		`Reject the result of a run that waits because it shrank (scope export:approve): it ends
failed, and what was published last stays the published one. The first decision stands.`,
		"is rejected; what was published last stays", (*client.Client).RejectRun)
}

func exportLatestCommand(c *connection) *cobra.Command {
	var f *format
	command := leaf("latest PROFILE", "Show the run whose bundle is the published one of a profile", cobra.ExactArgs(1),
		func(command *cobra.Command, args []string) error {
			opened, err := c.open()
			if err != nil {
				return err
			}
			run, err := opened.LatestRun(command.Context(), args[0])
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

// undecided reports whether a run waits for somebody to decide.
func undecided(run client.Run) bool {
	return run.Status == client.RunStatusWaiting && run.Wait != nil && run.Wait.Decision == nil
}

// waitingText says in a sentence what a run waits for.
func waitingText(run client.Run) string {
	return fmt.Sprintf("run %s waits for an approval, until %s: %s; look: stella export guard %s, then: stella export release or reject",
		run.RunID, run.Wait.ExpiresAt.UTC().Format(time.RFC3339), run.Wait.Why, run.RunID)
}

// parkedError ends a command that was not to wait for an approval: somebody has to
// decide, and trying again at once does not help.
type parkedError struct{ exitError }

func (e *parkedError) Unwrap() error { return &e.exitError }
