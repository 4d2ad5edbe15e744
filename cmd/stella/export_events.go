package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
)

func exportEventsCommand(c *connection) *cobra.Command {
	var follow bool
	var after int64
	var f *format
	command := leaf("events RUN", "Show what happened to a run", oneRun, func(command *cobra.Command, args []string) error {
		if after < 0 {
			return inputErrorf("--after %d: want the number of an event", after)
		}
		opened, err := c.open()
		if err != nil {
			return err
		}
		for event, err := range opened.Events(command.Context(), args[0], client.EventOptions{After: after, Once: !follow}) {
			if err != nil {
				return err
			}
			if err := printEvent(command.OutOrStdout(), event, f); err != nil {
				return fmt.Errorf("print an event: %w", err)
			}
		}
		return nil
	})
	command.Long = `Show the events of a run: those that are there, or, with --follow, also those
that come, until the run has ended. With --format json each event is one line,
with --format yaml a document.

A connection that breaks is taken up again behind the last event.

` + exitCodesHelp
	command.Flags().BoolVar(&follow, "follow", false, "wait for further events until the run has ended")
	command.Flags().Int64Var(&after, "after", 0, "only events behind this number")
	f = addFormat(command)
	return command
}

// printEvent writes one line, at once: a journal that grows has no columns to fit.
func printEvent(out io.Writer, e client.RunEvent, f *format) error {
	if f.json() {
		line, err := jsonText(e, "")
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, line)
		return err
	}
	if f.yaml() {
		if _, err := io.WriteString(out, "---\n"); err != nil {
			return err
		}
		return printYAML(out, e)
	}
	var metrics []string
	for _, name := range slices.Sorted(maps.Keys(e.Metrics)) {
		metrics = append(metrics, name+"="+strconv.FormatInt(e.Metrics[name], 10))
	}
	_, err := fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("%-4d %s  %-22s %s  %s", e.Seq, e.At.UTC().Format(time.RFC3339),
		printable(e.EventType), printable(e.Message), printable(strings.Join(metrics, " "))), " "))
	return err
}
