package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
)

func exportPlanCommand(c *connection) *cobra.Command {
	var excluded bool
	var limit int
	var cursor string
	var f *format
	command := leaf("plan RUN", "Show what a run set out to do, shard by shard", oneRun, func(command *cobra.Command, args []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		params := client.GetRunPlanParams{Limit: &limit, Excluded: &excluded}
		if cursor != "" {
			params.Cursor = &cursor
		}
		plan, err := opened.RunPlan(command.Context(), args[0], params)
		if err != nil {
			return err
		}
		if f.machine() {
			return f.encode(command.OutOrStdout(), plan)
		}
		if err := printTable(command.OutOrStdout(), planLines(plan)); err != nil {
			return err
		}
		return printTable(command.OutOrStdout(), planRows(plan))
	})
	flags := command.Flags()
	flags.BoolVar(&excluded, "excluded", false, "count also what the selectors left out")
	flags.IntVar(&limit, "limit", 50, "at most this many shards, 1 to 200")
	flags.StringVar(&cursor, "cursor", "", "continue a plan")
	f = addFormat(command)
	return command
}

func planLines(plan client.RunPlan) [][]string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows := [][]string{{"run", plan.RunID}, {"as of", number(plan.AsOf)}, {"plan", plan.PlanDigest},
		{"documents", number(plan.Records)}, {"bytes", number(plan.Bytes)}, {"shards", strconv.Itoa(plan.Shards)}}
	for _, s := range plan.Tenants {
		rows = append(rows, []string{"of " + s.Tenant + "/" + s.Project, number(s.Records)})
	}
	for _, e := range plan.Excluded {
		rows = append(rows, []string{"left out by " + e.Member, number(e.Documents)})
	}
	return rows
}

func planRows(plan client.RunPlan) [][]string {
	rows := [][]string{{"SHARD", "STATE", "DOCUMENTS", "BYTES", "FILE"}}
	for _, s := range plan.ShardList {
		rows = append(rows, []string{strconv.Itoa(s.Ordinal), string(s.State), strconv.FormatInt(s.Records, 10), strconv.FormatInt(s.Bytes, 10), s.Path})
	}
	if plan.NextCursor != "" {
		rows = append(rows, []string{"more: --cursor " + plan.NextCursor})
	}
	return rows
}
