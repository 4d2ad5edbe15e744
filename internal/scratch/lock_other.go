//go:build !unix

package scratch

import (
	"errors"
	"os"
)

// tryLock has no lock here that ends with the process: leftovers stay.
func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
