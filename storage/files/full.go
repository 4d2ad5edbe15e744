package files

import (
	"errors"
	"syscall"

	"github.com/stella-ops/exportcenter/export"
)

// inWords gives a failure that its reader can mend by himself a code and a
// sentence: a disk, or a share of one, that is full. It is worth a retry.
func inWords(err error) error {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	return &export.Error{
		Code: export.CodeUnavailable, Class: export.ClassTransient,
		Message: "the blob store's disk is full; free some space and try again", Err: err,
	}
}
