package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
)

// verifyRecord makes command the verifier of a FILE with trusted keys: a wrong call, a
// report that cannot be printed and a verifier that fails by itself are none of the
// outcomes of a verification, and never a success. check verifies, and gives the report
// and how it is printed as a table.
func verifyRecord(command *cobra.Command, name string, check func(file string, keys verify.Trust) (report any, table func() [][]string, err error)) {
	var key, trust string
	f := addFormat(command)
	trustFlags(command, &key, &trust)
	command.Args = func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return verifyUsage(fmt.Errorf("%s takes one FILE, not %d", name, len(args)))
		}
		return nil
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return verifyUsage(err) })
	command.RunE = func(command *cobra.Command, args []string) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = verifyUsage(fmt.Errorf("not verified: the verifier itself failed: %.300q", fmt.Sprint(p)))
			}
		}()
		keys, err := loadTrust(key, trust)
		if err != nil {
			return err
		}
		report, table, err := check(args[0], keys)
		if err != nil {
			return err
		}
		if err := f.print(command.OutOrStdout(), report, table); err != nil {
			return verifyUsage(fmt.Errorf("print the report: %w", err))
		}
		return nil
	}
}

// notVerified is the error of a verification that failed.
func notVerified(file string, err error, class verify.Class) error {
	return &exitError{fmt.Errorf("%s: not verified: %w", file, err), class.ExitCode()}
}
