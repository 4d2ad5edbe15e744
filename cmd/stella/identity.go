package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/sealed"
)

// identityFlags are the flags of a command that opens encrypted bundles.
func identityFlags(command *cobra.Command, files *[]string) {
	command.Flags().StringArrayVar(files, "identity", nil, "`FILE` with age identities, as age-keygen writes it, that open an encrypted bundle; may be given more than once")
}

// loadIdentities reads the keys that open encrypted bundles. Nothing of a file is ever
// printed.
func loadIdentities(files []string) (keys sealed.Keys, err error) {
	for _, name := range files {
		file, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return keys, &exitError{fmt.Errorf("identity file %s does not exist", name), verify.ClassAbsent.ExitCode()}
		}
		if err != nil {
			return keys, verifyUsage(fmt.Errorf("identity file: %w", err))
		}
		found, err := sealed.ParseIdentities(file)
		file.Close()
		if err != nil {
			return keys, &exitError{fmt.Errorf("identity file %s: %w", name, err), verify.ClassSignature.ExitCode()}
		}
		keys.Identities = append(keys.Identities, found...)
	}
	return keys, nil
}
