package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
)

func tenantCommand() *cobra.Command {
	c := connection{everyTenant: true}
	command := group("tenant", "Manage the tenants of an installation",
		"Manage the tenants of an installation. The token must be an administrator's: its tenant is \"_\" and its scope\n"+
			"tenant:manage, or tenant:offboard to have one removed. It opens nothing that a tenant has.\n\n"+exitCodesHelp)
	c.addFlags(command)
	command.AddCommand(tenantCreateCommand(&c), tenantListCommand(&c), tenantShowCommand(&c), tenantQuotasCommand(&c),
		tenantChangeCommand(&c, "suspend", "Refuse a tenant's calls and start none of its runs", (*client.Client).SuspendTenant),
		tenantChangeCommand(&c, "resume", "Let a suspended tenant in again", (*client.Client).ResumeTenant),
		tenantOffboardCommand(&c), tenantRecordCommand(&c), tenantVerifyCommand())
	c.addCompletion(command)
	return command
}

func oneTenant(command *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(1)(command, args); err != nil {
		return err
	}
	if !export.ValidTenant(args[0]) {
		return inputErrorf("%q is not a tenant name: 1 to 63 lower-case letters, digits and inner hyphens", args[0])
	}
	return nil
}

func tenantCreateCommand(c *connection) *cobra.Command {
	var display string
	var f *format
	command := leaf("create NAME", "Note a tenant before it first does anything", oneTenant, func(command *cobra.Command, args []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		info, err := opened.CreateTenant(command.Context(), client.TenantRequest{Tenant: args[0], DisplayName: display})
		return printTenant(command, f, info, err)
	})
	command.Flags().StringVar(&display, "display-name", "", "its `NAME` for people")
	f = addFormat(command)
	return command
}

func tenantListCommand(c *connection) *cobra.Command {
	var limit int
	var cursor string
	var f *format
	command := leaf("list", "List tenants by name", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		params := client.ListTenantsParams{Limit: &limit}
		if cursor != "" {
			params.Cursor = &cursor
		}
		page, err := opened.ListTenants(command.Context(), params)
		if err != nil {
			return err
		}
		if f.machine() {
			return f.encode(command.OutOrStdout(), page)
		}
		rows := [][]string{{"TENANT", "STATE"}}
		for _, t := range page.Tenants {
			rows = append(rows, []string{t.Tenant, string(t.State)})
		}
		if page.NextCursor != "" {
			rows = append(rows, []string{"more: --cursor " + page.NextCursor})
		}
		return printTable(command.OutOrStdout(), rows)
	})
	command.Flags().IntVar(&limit, "limit", 50, "at most this many, 1 to 200")
	command.Flags().StringVar(&cursor, "cursor", "", "continue a list")
	f = addFormat(command)
	return command
}

func tenantShowCommand(c *connection) *cobra.Command {
	var f *format
	command := leaf("show NAME", "Show a tenant's state, and who changed it last", oneTenant, func(command *cobra.Command, args []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		info, err := opened.GetTenant(command.Context(), args[0])
		return printTenant(command, f, info, err)
	})
	f = addFormat(command)
	return command
}

func tenantChangeCommand(c *connection, use, short string, change func(*client.Client, context.Context, string, string) (client.TenantInfo, error)) *cobra.Command {
	var reason string
	var f *format
	command := leaf(use+" NAME", short, oneTenant, func(command *cobra.Command, args []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		info, err := change(opened, command.Context(), args[0], reason)
		return printTenant(command, f, info, err)
	})
	command.Flags().StringVar(&reason, "reason", "", "why; it is kept with the tenant")
	f = addFormat(command)
	return command
}

func printTenant(command *cobra.Command, f *format, info client.TenantInfo, err error) error {
	if err != nil {
		return err
	}
	if f.machine() {
		return f.encode(command.OutOrStdout(), info)
	}
	rows := [][]string{{"tenant", info.Tenant}, {"state", string(info.State)}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("name", info.DisplayName)
	if !info.CreatedAt.IsZero() {
		add("created", info.CreatedAt.UTC().Format(time.RFC3339)+" by "+info.CreatedBy)
	}
	for _, row := range quotaRows(info) {
		add(row[0], row[1])
	}
	if !info.ChangedAt.IsZero() {
		add("changed", info.ChangedAt.UTC().Format(time.RFC3339)+" by "+info.ChangedBy)
		add("reason", info.Reason)
	}
	if !info.OffboardedAt.IsZero() {
		add("offboarded", info.OffboardedAt.UTC().Format(time.RFC3339))
	}
	return printTable(command.OutOrStdout(), rows)
}
