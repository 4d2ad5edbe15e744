package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
)

// diffPage is how many changes are asked for at once.
const diffPage = 1000

// errDiffer says with an exit code that two runs differ, as "git diff --exit-code" does.
var errDiffer = &exitError{errors.New("the runs differ"), exitUnexpected}

func exportDiffCommand(c *connection) *cobra.Command {
	var kind, only string
	var code bool
	var f *format
	command := leaf("diff RUN1 RUN2", "Show what changed between the documents of two runs", twoRuns, func(command *cobra.Command, args []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		limit := diffPage
		params := client.GetRunDiffParams{Limit: &limit}
		if kind != "" {
			params.Kind = &kind
		}
		if only != "" {
			params.Only = (*client.GetRunDiffParamsOnly)(&only)
		}
		report, err := newDiffReport(f)
		if err != nil {
			return err
		}
		defer report.discard()
		for {
			page, err := opened.DiffRuns(command.Context(), args[0], args[1], params)
			if err != nil {
				return err
			}
			if err := report.add(page); err != nil {
				return err
			}
			if page.NextCursor == "" {
				break
			}
			if params.Cursor != nil && *params.Cursor == page.NextCursor {
				return errors.New("the server gives a page of the comparison that was read already")
			}
			params.Cursor = &page.NextCursor
		}
		if err := report.print(command.OutOrStdout()); err != nil {
			return err
		}
		if code && report.head.Summary.documents() > 0 {
			return errDiffer
		}
		return nil
	})
	command.ValidArgsFunction = func(command *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 1 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.asked(runIDs)(command, args, begun)
	}
	command.Long = `Show what changed from RUN1 to RUN2, in the words of advisories: which documents were
added (+), removed (-) or changed (~), and what of them changed - severity, affected
ranges, fixed versions, withdrawal, aliases, the status of VEX statements, the components
of SBOMs, or only their text. The summary comes first, then a line for each document;
json and yaml have everything.

  stella export diff RUN1 RUN2 --kind advisory --only severity
  stella export diff RUN1 RUN2 --exit-code --format json

` + exitCodesHelp
	flags := command.Flags()
	flags.StringVar(&kind, "kind", "", "only this kind of evidence; needed when the runs take different ones")
	flags.StringVar(&only, "only", "", "only documents that were `added, removed or changed`, or of which severity, range, fixed, withdrawn, aliases, status, components or other changed")
	flags.BoolVar(&code, "exit-code", false, "end with code 1 when the runs differ")
	f = addFormat(command)
	_ = command.RegisterFlagCompletionFunc("only", cobra.FixedCompletions(onlyWords, cobra.ShellCompDirectiveNoFileComp))
	return command
}

var onlyWords = []string{"added", "removed", "changed", "severity", "range", "fixed", "withdrawn", "aliases", "status", "components", "other"}

// twoRuns takes two run ids.
func twoRuns(command *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(2)(command, args); err != nil {
		return err
	}
	for _, arg := range args {
		if !export.ValidRunID(arg) {
			return fmt.Errorf("%q is not a run id (a lower-case UUID)", arg)
		}
	}
	return nil
}
