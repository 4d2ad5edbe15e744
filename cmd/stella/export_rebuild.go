package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/clock"
)

const rebuildHelp = `Build run RUN again from the evidence as of the same moment, taking over nothing that
was built before, and compare every byte with the bundle that is there: payload,
manifest, provenance, README and VERIFY, and where a key in a file signs also
signatures and seal. Where the bundle is gone its recorded digests are compared.

The command waits for the end. What comes out is one of

  identical   every byte that was compared
  encoder     the same content, compressed by another encoder
  version     the same payload, described by another version of the program
  different   anything else; the first difference is named

Exit code 0 means identical. A rebuild makes no bundle, waits for no approval and
publishes nothing. To build a mirror again without the service, see: exportcenter rebuild

`

// rebuildResult is what "export rebuild" prints.
type rebuildResult struct {
	RunID     string          `json:"runId"` // of the rebuild
	RebuildOf string          `json:"rebuildOf"`
	Status    string          `json:"status"`
	Rebuilt   *client.Rebuilt `json:"rebuilt,omitempty"`
}

func exportRebuildCommand(c *connection) *cobra.Command {
	var key string
	var f *format
	command := leaf("rebuild RUN", "Build a run again, and compare every byte", oneRun, func(command *cobra.Command, args []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		ctx := command.Context()
		run, err := opened.RebuildRun(ctx, args[0], firstOf(key, clock.NewID()))
		if err != nil {
			return err
		}
		if run, err = waitForRun(ctx, opened, run.RunID, false, command.ErrOrStderr()); err != nil {
			return err
		}
		if err := printRebuild(command.OutOrStdout(), run, f); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
		if run.Rebuilt != nil && run.Rebuilt.Verdict != client.RebuiltVerdictIdentical {
			return &exitError{errors.New("other bytes came out"), exitUnexpected}
		}
		return runOutcome(run)
	})
	command.Long = rebuildHelp + exitCodesHelp
	command.Flags().StringVar(&key, "idempotency-key", "", "the same key gives the same rebuild again")
	f = addFormat(command)
	return command
}

func printRebuild(out io.Writer, run client.Run, f *format) error {
	result := rebuildResult{RunID: run.RunID, RebuildOf: run.RebuildOf, Status: string(run.Status), Rebuilt: run.Rebuilt}
	if f.machine() {
		return f.encode(out, result)
	}
	rows := [][]string{{"run", result.RebuildOf}, {"rebuild", result.RunID}, {"status", result.Status}}
	if r := result.Rebuilt; r != nil {
		rows = append(rows, []string{"verdict", string(r.Verdict)},
			[]string{"compared", fmt.Sprintf("%d entries, %d bytes", r.Files, r.Bytes)})
		if d := r.First; d != nil {
			rows = append(rows, differenceRows(*d)...)
		}
		if r.Recorded != r.Now {
			rows = append(rows, []string{"recorded", r.Recorded.Version + ", " + r.Recorded.Encoder}, []string{"now", r.Now.Version + ", " + r.Now.Encoder})
		}
		for _, why := range r.NotCompared {
			rows = append(rows, []string{"not compared", why})
		}
	}
	return printTable(out, rows)
}

func differenceRows(d client.RebuildDifference) [][]string {
	rows := [][]string{{"first", d.Path}, {"how", string(d.What)}}
	if d.What == client.RebuildDifferenceWhatBytes {
		rows = append(rows, []string{"byte", strconv.FormatInt(d.Offset, 10)})
	}
	if d.Line > 0 {
		rows = append(rows, []string{"line", strconv.FormatInt(d.Line, 10)})
	}
	for _, row := range [][]string{{"document", d.Document}, {"member", d.Member}} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	return rows
}
