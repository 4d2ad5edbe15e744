package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

const auditVerifyHelp = `Verify an exported audit record offline.

Every entry of FILE is held against the one before it, and the last against the
checkpoint that a trusted key has signed: an entry that was changed, removed, put
in or moved is found. What was cut off the end before the export was made shows
only against an earlier export: keep them, and name the last one with --earlier.

Exit codes:
  0  verified
  2  the chain is broken, or the file is not an export
  3  the checkpoint's signature or its key
  4  something required is absent: a file, the checkpoint, a trusted key
  5  anything else, usage included`

func auditVerifyCommand() *cobra.Command {
	var earlier string
	command := leaf("verify FILE --key PUB | --trust DIR", "Verify an exported record offline", cobra.ExactArgs(1), nil)
	command.Long = auditVerifyHelp
	verifyRecord(command, "audit verify", func(file string, keys verify.Trust) (any, func() [][]string, error) {
		report, err := verifyAudit(file, earlier, keys)
		if err != nil {
			return nil, nil, notVerified(file, err, auditClass(err))
		}
		return report, func() [][]string { return auditReport(file, report) }, nil
	})
	command.Flags().StringVar(&earlier, "earlier", "", "`FILE` of an earlier export, whose end this one must contain")
	return command
}

func verifyAudit(file, earlier string, keys verify.Trust) (audit.Report, error) {
	var before *audit.Earlier
	if earlier != "" {
		err := withFile(earlier, func(in io.Reader) (err error) {
			before, err = audit.ReadEarlier(in, keys)
			return err
		})
		if err != nil {
			return audit.Report{}, fmt.Errorf("the earlier export %s: %w", earlier, err)
		}
	}
	var report audit.Report
	err := withFile(file, func(in io.Reader) (err error) {
		report, err = audit.Verify(in, keys, before)
		return err
	})
	return report, err
}

func withFile(path string, read func(io.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(read(file), file.Close())
}

// auditClass sorts what was found into the verifiers' exit codes.
func auditClass(err error) verify.Class {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, audit.ErrNoCheckpoint):
		return verify.ClassAbsent
	case errors.Is(err, signing.ErrUnknownKey), errors.Is(err, signing.ErrSignature):
		return verify.ClassSignature
	case errors.Is(err, audit.ErrBroken), errors.Is(err, signing.ErrEncoding), errors.Is(err, signing.ErrPayloadType):
		return verify.ClassContent
	}
	return verify.ClassOther
}

func auditReport(file string, r audit.Report) [][]string {
	rows := [][]string{
		{"VERIFIED", file},
		{"  tenant", r.Tenant},
		{"  entries", fmt.Sprintf("%d to %d", r.First, r.Last)},
		{"  signed", r.Checkpoint.At.UTC().Format("2006-01-02T15:04:05Z")},
		{"  key", r.KeyID},
	}
	if len(r.Unfinished) > 0 {
		rows = append(rows, []string{"  unfinished", fmt.Sprintf("%d calls have begun and not ended, the first is entry %d",
			int64(len(r.Unfinished))+r.UnfinishedMore, r.Unfinished[0])})
	}
	return rows
}
