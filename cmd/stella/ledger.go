package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle"
)

func ledgerCommand() *cobra.Command {
	var c connection
	command := group("ledger", "Import and remove evidence, read originals", "Import evidence into the ledger, note what its publishers removed, and read it back.\n\n"+exitCodesHelp)
	c.addFlags(command)
	command.AddCommand(ledgerImportCommand(&c), ledgerRemoveCommand(&c), ledgerStatsCommand(&c), ledgerListCommand(&c), ledgerGetCommand(&c))
	c.addCompletion(command)
	return command
}

func ledgerGetCommand(c *connection) *cobra.Command {
	var output string
	command := leaf("get DIGEST", "Print the original bytes of a document", cobra.ExactArgs(1),
		func(command *cobra.Command, args []string) error {
			if _, err := bundle.ParseDigest(args[0]); err != nil {
				return &exitError{err, exitInput}
			}
			opened, err := c.open()
			if err != nil {
				return err
			}
			raw, err := opened.Original(command.Context(), args[0])
			if err != nil {
				return err
			}
			write := func(w io.Writer) error {
				_, err := w.Write(raw)
				return err
			}
			if output == "" {
				return write(command.OutOrStdout())
			}
			return writeAtomically(output, write)
		})
	command.Flags().StringVar(&output, "output", "", "write to `FILE` instead")
	return command
}
