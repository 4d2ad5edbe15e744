package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// helpCommand is "stella help"; a command that is not there is an error.
func helpCommand() *cobra.Command {
	return leaf("help [COMMAND]...", "Show the help of a command", cobra.ArbitraryArgs, func(command *cobra.Command, args []string) error {
		found, rest, err := command.Root().Find(args)
		if err != nil || len(rest) > 0 {
			return inputErrorf("unknown command %q; see stella --help", strings.Join(args, " "))
		}
		found.InitDefaultHelpFlag()
		found.SetOut(command.OutOrStdout())
		return found.Help()
	})
}

// showExitCodes puts the table of exit codes into the help of every command that does
// not have one of its own.
func showExitCodes(command *cobra.Command) {
	if long := firstOf(command.Long, command.Short+"."); !strings.Contains(long, "xit codes") {
		command.Long = long + "\n\n" + exitCodesHelp
	}
	for _, below := range command.Commands() {
		showExitCodes(below)
	}
}
