package main

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
)

func auditCommand() *cobra.Command {
	var c connection
	command := group("audit", "Read, export and verify the record of who did what",
		"Read, export and verify the record of who did what. \"audit verify\" needs no server.\n\n"+exitCodesHelp)
	c.addFlags(command)
	command.AddCommand(auditListCommand(&c), auditExportCommand(&c), auditVerifyCommand())
	c.addCompletion(command)
	return command
}

func auditListCommand(c *connection) *cobra.Command {
	var from, to, subject, operation, event string
	var after int64
	var limit int
	var f *format
	command := leaf("list", "List audit entries in the order in which they were written", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		params := client.ListAuditEntriesParams{After: &after}
		if limit < 1 {
			return inputErrorf("--limit %d: want at least 1", limit)
		}
		for _, bound := range []struct {
			flag, value string
			out         **string
		}{{"--from", from, &params.From}, {"--to", to, &params.To}} {
			if bound.value == "" {
				continue
			}
			at, err := parseTime(bound.value)
			if err != nil {
				return inputErrorf("%s: %w", bound.flag, err)
			}
			*bound.out = &at
		}
		if subject != "" {
			params.Subject = &subject
		}
		if operation != "" {
			params.Operation = &operation
		}
		if event != "" {
			wanted := client.ListAuditEntriesParamsEvent(event)
			params.Event = &wanted
		}
		opened, err := c.open()
		if err != nil {
			return err
		}
		page, err := listAudit(command.Context(), opened, params, limit)
		if err != nil {
			return err
		}
		return f.print(command.OutOrStdout(), page, func() [][]string { return auditRows(page) })
	})
	flags := command.Flags()
	flags.StringVar(&from, "from", "", "only at or after this day or time")
	flags.StringVar(&to, "to", "", "only before this day or time")
	flags.StringVar(&subject, "subject", "", "only what this subject did")
	flags.StringVar(&operation, "operation", "", "only this operation, such as CreateRun")
	flags.StringVar(&event, "event", "", "only call.begun, call.ended, call.refused or tenant.read")
	flags.Int64Var(&after, "after", 0, "continue behind this entry")
	flags.IntVar(&limit, "limit", 50, "at most this many")
	f = addFormat(command)
	return command
}

// maxAuditPage is the most the API gives at once.
const maxAuditPage = 500

// listAudit reads pages until there are limit entries or no more.
func listAudit(ctx context.Context, c *client.Client, params client.ListAuditEntriesParams, limit int) (client.AuditPage, error) {
	all := client.AuditPage{Entries: []client.AuditEntry{}}
	for {
		size := min(limit-len(all.Entries), maxAuditPage)
		params.Limit = &size
		page, err := c.ListAudit(ctx, params)
		if err != nil {
			return all, err
		}
		all.Next = page.Next
		all.Entries = append(all.Entries, page.Entries...)
		if page.Next == 0 || len(all.Entries) >= limit {
			return all, nil
		}
		params.After = &page.Next
	}
}

// auditRows are the lines of "audit list".
func auditRows(page client.AuditPage) [][]string {
	rows := [][]string{{"SEQ", "AT", "EVENT", "SUBJECT", "OPERATION", "STATUS", "CODE", "PATH", "REASON"}}
	for _, e := range page.Entries {
		status := ""
		if e.Status != 0 {
			status = strconv.Itoa(e.Status)
		}
		rows = append(rows, []string{strconv.FormatInt(e.Seq, 10), e.At.UTC().Format(time.RFC3339), string(e.Event),
			e.Subject, e.Operation, status, e.Code, e.Path, e.Reason})
	}
	if page.Next != 0 {
		rows = append(rows, []string{"more: --after " + strconv.FormatInt(page.Next, 10)})
	}
	return rows
}

func auditExportCommand(c *connection) *cobra.Command {
	var output string
	var from int64
	command := leaf("export --output FILE", "Write the signed record to a file", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		if output == "" {
			return inputErrorf("name a file with --output FILE")
		}
		if from < 1 {
			return inputErrorf("--from %d: entries are numbered from 1", from)
		}
		opened, err := c.open()
		if err != nil {
			return err
		}
		return writeAtomically(output, func(w io.Writer) error { return opened.ExportAudit(command.Context(), from, w) })
	})
	command.Flags().StringVar(&output, "output", "", "`FILE` to write")
	command.Flags().Int64Var(&from, "from", 1, "number of the first entry")
	return command
}
