package main

import (
	"github.com/spf13/cobra"
)

func rootCommand() *cobra.Command {
	root := group("stella", "Import evidence, export bundles, verify them",
		"Import evidence into Export Center, export it as signed bundles, and verify bundles offline.\n\n"+exitCodesHelp)
	root.PersistentPreRunE = applySettings
	root.AddCommand(ledgerCommand(), exportCommand(), policyCommand(), auditCommand(), verifyCommand(), mirrorCommand(), tenantCommand(),
		loginCommand(), logoutCommand(), whoamiCommand(), completionCommand(), manCommand())
	root.SetHelpCommand(helpCommand())
	root.InitDefaultHelpCmd()
	showExitCodes(root)
	return root
}

// group is a command that has only commands below it. Anything else is an
// input error, never a help text with exit code 0.
func group(use, short, long string) *cobra.Command {
	command := &cobra.Command{
		Use: use, Short: short, Long: long,
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.ArbitraryArgs,
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) > 0 {
				return inputErrorf("unknown command %q for %q; see %s --help", args[0], command.CommandPath(), command.CommandPath())
			}
			_ = command.Help() // a help text that cannot be written helps nobody
			return inputErrorf("name a command")
		},
	}
	command.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return inputErrorf("%w; see %s --help", err, command.CommandPath())
	})
	return command
}

// leaf is a command that does something.
func leaf(use, short string, args cobra.PositionalArgs, run func(*cobra.Command, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, RunE: run,
		SilenceUsage: true, SilenceErrors: true,
		Args: func(command *cobra.Command, given []string) error {
			if err := args(command, given); err != nil {
				return inputErrorf("%w: %s", err, command.UseLine())
			}
			return nil
		},
	}
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
