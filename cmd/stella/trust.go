package main

import (
	"errors"
	"os"

	"github.com/stella-ops/exportcenter/bundle/verify"
)

// loadTrust reads the keys that a verifying command is to trust: a file, a
// directory, or what STELLA_TRUST names.
func loadTrust(key, trust string) (verify.Trust, error) {
	if key == "" && trust == "" {
		trust = os.Getenv("STELLA_TRUST")
	}
	if key == "" && trust == "" {
		return nil, verifyUsage(errors.New("no key to trust: give --key PUB or --trust DIR, or set STELLA_TRUST"))
	}
	keys, err := verify.LoadTrust(key, trust)
	if err == nil {
		return keys, nil
	}
	class := verify.ClassSignature // a file that is no key
	if errors.Is(err, verify.ErrNoKeys) || errors.Is(err, os.ErrNotExist) {
		class = verify.ClassAbsent
	}
	return nil, &exitError{err, class.ExitCode()}
}
