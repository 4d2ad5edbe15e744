package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
)

// trustRoots is what the environment says is trusted. STELLA_TRUST_ROOTS is the name
// that other programs of the suite use.
func trustRoots() string { return firstOf(os.Getenv("STELLA_TRUST"), os.Getenv("STELLA_TRUST_ROOTS")) }

// trustFlags are the flags of a command that verifies. --trust-roots is the name that
// other programs of the suite have.
func trustFlags(command *cobra.Command, key, trust *string) {
	flags := command.Flags()
	flags.StringVar(key, "key", "", "`FILE` with the public key to trust (PEM)")
	flags.StringVar(trust, "trust", "", "`DIR` whose *.pub files are the keys to trust (STELLA_TRUST)")
	flags.Var(flags.Lookup("trust").Value, "trust-roots", "other name of --trust")
	_ = flags.MarkHidden("trust-roots")
}

// loadTrust reads the keys that a verifying command is to trust: a file, a
// directory, or what STELLA_TRUST names.
func loadTrust(key, trust string) (verify.Trust, error) {
	if key == "" && trust == "" {
		trust = trustRoots()
	}
	if key == "" && trust == "" {
		return nil, verifyUsage(errors.New("no key to trust: give --key PUB or --trust DIR, or set STELLA_TRUST"))
	}
	keys, err := verify.LoadTrust(key, trust)
	return keys, trustError(err)
}

// loadRoot reads the TUF root that mirrors are compared with: a file, or that of the
// directory whose keys are trusted. nil: there is none.
func loadRoot(root, key, trust string) ([]byte, error) {
	if key == "" && trust == "" {
		trust = trustRoots()
	}
	raw, err := verify.LoadTUFRoot(root, trust)
	return raw, trustError(err)
}

// trustError gives an error of what is trusted its exit code.
func trustError(err error) error {
	if err == nil {
		return nil
	}
	class := verify.ClassSignature // a file that is no key, or no root
	if errors.Is(err, verify.ErrNoKeys) || errors.Is(err, os.ErrNotExist) {
		class = verify.ClassAbsent
	}
	return &exitError{err, class.ExitCode()}
}
