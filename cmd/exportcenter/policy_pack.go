package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/policy"
)

func checkPackCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check PACK",
		Short: "Say whether a policy pack would be taken",
		Long: "Reads and compiles a policy pack (an OPA bundle, .tar.gz) as the service does when one is imported, and says why it would be refused: " +
			"with file and line, where there is one. Exit code 0: it would be taken, 2: it would not, 4: there is no such file. What a pack may do: docs/policy.md.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := os.ReadFile(args[0])
			if errors.Is(err, os.ErrNotExist) {
				return endedAs(verify.ClassAbsent, err)
			} else if err != nil {
				return endedAs(verify.ClassOther, err)
			}
			pack, err := policy.ReadPack(raw)
			if err != nil {
				return endedAs(verify.ClassContent, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "policy pack %q, digest %s\n", pack.Revision, pack.Digest)
			return err
		},
	}
}

func capabilitiesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "capabilities",
		Short: "Print what a policy pack may use, for `opa check --capabilities FILE`",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(policy.Capabilities())
			return err
		},
	}
}
