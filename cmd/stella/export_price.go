package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
)

// priceExport prints what a run would take, and runs nothing.
func priceExport(command *cobra.Command, c *client.Client, request client.RunRequest, f *format) error {
	tag, err := c.PriceRun(command.Context(), request)
	if err != nil {
		return err
	}
	if f.machine() {
		return f.encode(command.OutOrStdout(), tag)
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows := [][]string{{"as of", number(tag.AsOf)}, {"KIND", "DOCUMENTS", "BYTES", "SHARDS"}}
	for _, k := range tag.Kinds {
		rows = append(rows, []string{k.Kind, number(k.Records), number(k.Bytes), strconv.Itoa(k.Shards)})
	}
	rows = append(rows, []string{"all", number(tag.Records), number(tag.Bytes), strconv.Itoa(tag.Shards)})
	rows = append(rows, []string{"to pack", "", number(tag.BytesToPack), strconv.Itoa(tag.ShardsToPack)},
		[]string{"taken over", "", number(tag.Bytes - tag.BytesToPack), strconv.Itoa(tag.ShardsToReuse)})
	for _, s := range tag.Tenants {
		rows = append(rows, []string{"of " + s.Tenant + "/" + s.Project, number(s.Records), number(s.Bytes), strconv.Itoa(s.Shards)})
	}
	for _, e := range tag.Excluded {
		rows = append(rows, []string{"left out by " + e.Member, number(e.Documents), number(e.Bytes)})
	}
	if err := printTable(command.OutOrStdout(), rows); err != nil {
		return fmt.Errorf("print the price: %w", err)
	}
	return nil
}
