package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
)

const exportVerifyHelp = `Let Export Center verify the stored bundle of a run by the keys it trusts, and
print its report. It reads every byte that is stored, so it finds what has rotted.

It proves nothing to somebody who does not trust the server: download the bundle
and use "stella verify FILE --key PUB" for that.

The server has no keys of recipients: of an encrypted bundle the status is "unopened",
and nothing is said of what is inside.

Exit codes of the verification:
  0  verified: every check passed; or unopened: every check passed that takes no key
  2  content differs: a file, a header, a digest, the order or length of the archive
  3  a signature or its key: not valid, or not by a trusted key
  4  something required is absent: stored bytes, an entry, a signature
  5  anything else
What the server refuses ends with the codes of the other commands.

`

func exportVerifyCommand(c *connection) *cobra.Command {
	var evidence bool
	var f *format
	command := leaf("verify RUN", "Verify the stored bundle of a run", oneRun, func(command *cobra.Command, args []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		report, err := opened.VerifyRun(command.Context(), args[0], evidence)
		if err != nil {
			return err
		}
		verdict := verdictOf(report)
		if err := printReport(command.OutOrStdout(), "run "+args[0], report, f); err != nil {
			return verifyUsage(errors.Join(fmt.Errorf("print the report: %w", err), verdict))
		}
		return verdict
	})
	command.Long = exportVerifyHelp + exitCodesHelp
	command.Flags().BoolVar(&evidence, "evidence", false, "also read every line, and tell how many documents are proved to be what was imported")
	f = addFormat(command)
	return command
}

// verdictOf is nil for a bundle that was verified, or as far as that goes without keys,
// and nothing else.
func verdictOf(report verify.Report) error {
	switch {
	case report.Failure == nil && (report.Status == verify.StatusVerified || report.Status == verify.StatusUnopened):
		return nil
	case report.Failure != nil:
		return &verify.Error{Failure: *report.Failure}
	}
	return verifyUsage(fmt.Errorf("not verified: the server gives the status %.40q and no reason", report.Status))
}

func exportAttestationCommand(c *connection) *cobra.Command {
	var f *format
	command := leaf("attestation RUN", "Show the signed statements about the archive of a run", oneRun, func(command *cobra.Command, args []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		list, err := opened.Attestations(command.Context(), args[0])
		if err != nil {
			return err
		}
		if f.machine() {
			return f.encode(command.OutOrStdout(), list)
		}
		rows := [][]string{{"run", list.RunID}, {"archive", list.ArchiveDigest}}
		for _, a := range list.Attestations {
			rows = append(rows, []string{"statement", a.PredicateType}, []string{"  signed by", a.KeyID + " (" + a.Algorithm + ")"})
		}
		return printTable(command.OutOrStdout(), rows)
	})
	command.Long = `Show the DSSE envelopes around in-toto statements whose subject is the archive of
the run. --format json or yaml gives the envelopes; nothing is verified here.

` + exitCodesHelp
	f = addFormat(command)
	return command
}
