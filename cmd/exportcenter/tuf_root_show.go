package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/tuf"
)

func tufRootShowCommand() *cobra.Command {
	var roots string
	cmd := &cobra.Command{
		Use:   "show --roots DIR",
		Short: "Check the roots of a directory and tell what they say",
		Long: "Checks that each root is signed by the keys of the one before and by its own, and prints for each its digest, its end, and its keys " +
			"by the ids that stella and trust directories use.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			chain, err := tuf.Folder(roots).Chain()
			if err != nil {
				return err
			}
			return printRoots(cmd.OutOrStdout(), tuf.Folder(roots), chain, clock.System())
		},
	}
	cmd.Flags().StringVar(&roots, "roots", "", "`DIR` of the root documents")
	cmd.MarkFlagRequired("roots") //nolint:errcheck // the flag is there
	return cmd
}

// printRoots tells of each root what an operator compares.
func printRoots(out io.Writer, folder tuf.Folder, chain tuf.Chain, now time.Time) error {
	var text strings.Builder
	for _, document := range chain {
		root := document.Signed
		fmt.Fprintf(&text, "root %d\n  file     %s\n  digest   %s\n  good     until %s\n", root.Version, folder.At(root.Version), bundle.DigestOf(document.Raw), root.Expires)
		if root.Expired(now) != nil {
			text.WriteString("  EXPIRED  make the next one with tuf-root renew\n")
		}
		for _, of := range []struct {
			what string
			keys []tuf.Key
		}{{"roots", root.RootKeys()}, {"mirrors", root.OnlineKeys()}} {
			for _, key := range of.keys {
				verifier, err := key.Verifier()
				if err != nil {
					return err
				}
				fmt.Fprintf(&text, "  %-8s are signed by %s (%s)\n", of.what, verifier.KeyID(), verifier.Algorithm())
			}
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}
