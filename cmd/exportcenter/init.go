package main

import (
	"crypto/rand"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/internal/box"
	"github.com/stella-ops/exportcenter/internal/clock"
)

func initCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "init --data DIR",
		Short: "Make the keys that the first start of `up` makes, and start nothing",
		Long: "Makes a signing key, its password, its public key, a development token issuer and the first TUF root of mirrors in DIR, " +
			"unless they are there, and prints the signing key's id. docker-compose.yml runs it once for its volume.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keyID, err := box.MakeKeys(data, rand.Reader, clock.System)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), keyID)
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "`DIR` for keys/ and trust/")
	cmd.MarkFlagRequired("data") //nolint:errcheck // the flag is there
	return cmd
}
