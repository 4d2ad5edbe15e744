package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
)

// asAll and unbound stand for numbers of a quota: what the installation says of all
// tenants, and no bound.
const (
	asAll   = "default"
	unbound = "none"
)

func tenantQuotasCommand(c *connection) *cobra.Command {
	var runs, bytes string
	var f *format
	command := leaf("quotas NAME", "Say how many runs a day a tenant may ask for, and how many bytes its bundles may have", oneTenant,
		func(command *cobra.Command, args []string) error {
			if !command.Flags().Changed("runs-per-day") && !command.Flags().Changed("bytes") {
				return inputErrorf("say --runs-per-day, --bytes or both; `stella tenant show` shows what they are")
			}
			opened, err := c.open()
			if err != nil {
				return err
			}
			info, err := opened.GetTenant(command.Context(), args[0])
			if err != nil {
				return err
			}
			quotas := info.Quotas
			if command.Flags().Changed("runs-per-day") {
				if quotas.RunsPerDay, err = quotaFlag[int]("runs-per-day", runs); err != nil {
					return err
				}
			}
			if command.Flags().Changed("bytes") {
				if quotas.Bytes, err = quotaFlag[int64]("bytes", bytes); err != nil {
					return err
				}
			}
			info, err = opened.SetTenantQuotas(command.Context(), args[0], quotas)
			return printTenant(command, f, info, err)
		})
	command.Long = "Say how many runs a day (UTC) a tenant may ask for, and how many bytes its bundles may have together. What is\n" +
		"not said stays as it is. A number is a bound; \"" + unbound + "\" is none; \"" + asAll + "\" is what the installation's\n" +
		"configuration says of all tenants (exports.runsPerDay, exports.bytes)."
	command.Flags().StringVar(&runs, "runs-per-day", "", "a `NUMBER`, "+unbound+" or "+asAll)
	command.Flags().StringVar(&bytes, "bytes", "", "a `NUMBER`, "+unbound+" or "+asAll)
	f = addFormat(command)
	return command
}

func quotaFlag[T int | int64](name, text string) (*T, error) {
	switch text {
	case asAll:
		return nil, nil //nolint:nilnil // nothing of its own
	case unbound:
		text = "0"
	case "0":
		return nil, inputErrorf("--%s 0: a bound of nothing is not a bound; say %s, or suspend the tenant", name, unbound)
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 || int64(T(number)) != number {
		return nil, inputErrorf("--%s %.40q is not a number, %s or %s", name, text, unbound, asAll)
	}
	bound := T(number)
	return &bound, nil
}

// quotaRows tells what a tenant may use, and uses.
func quotaRows(info client.TenantInfo) [][2]string {
	bound := func(number int64) string {
		if number == 0 {
			return "no bound"
		}
		return "at most " + strconv.FormatInt(number, 10)
	}
	var rows [][2]string
	if q := info.Quotas.RunsPerDay; q != nil {
		rows = append(rows, [2]string{"runs per day", bound(int64(*q))})
	}
	if q := info.Quotas.Bytes; q != nil {
		rows = append(rows, [2]string{"bytes", bound(*q)})
	}
	if u := info.Usage; u != (client.TenantUsage{}) {
		rows = append(rows, [2]string{"used", strconv.FormatInt(u.RunsToday, 10) + " runs today, " + strconv.FormatInt(u.Bytes, 10) + " bytes of bundles"})
	}
	return rows
}
