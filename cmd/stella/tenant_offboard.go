package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/signing"
)

const tenantOffboardHelp = `Ask for a tenant to be removed: its evidence, runs, bundles, profiles and audit record.

The tenant must have been suspended for long enough (7 days, unless the installation says otherwise), and none of
its runs may be at work. What it has is removed by "exportcenter offboard", which whoever runs the installation
starts; "stella tenant record" gives the signed record of it. This cannot be undone, and the name is never given again.`

func tenantOffboardCommand(c *connection) *cobra.Command {
	var confirm, reason string
	var f *format
	command := leaf("offboard NAME", "Ask for a suspended tenant to be removed, for good", oneTenant, func(command *cobra.Command, args []string) error {
		if confirm != args[0] {
			return inputErrorf("say the name once more with --confirm %s: what is removed cannot be had back", args[0])
		}
		if reason == "" {
			return inputErrorf("say why with --reason; it is in the signed record")
		}
		opened, err := c.open()
		if err != nil {
			return err
		}
		info, err := opened.OffboardTenant(command.Context(), args[0], client.TenantOffboardRequest{Tenant: confirm, Reason: reason})
		return printTenant(command, f, info, err)
	})
	command.Long = tenantOffboardHelp
	command.Flags().StringVar(&confirm, "confirm", "", "the `NAME` once more")
	command.Flags().StringVar(&reason, "reason", "", "why; it is in the signed record")
	f = addFormat(command)
	return command
}

func tenantRecordCommand(c *connection) *cobra.Command {
	var output string
	command := leaf("record NAME", "Write the signed record of what was removed of a tenant", oneTenant, func(command *cobra.Command, args []string) error {
		if output == "" {
			return inputErrorf("name a file with --output FILE")
		}
		opened, err := c.open()
		if err != nil {
			return err
		}
		return writeAtomically(output, func(w io.Writer) error { return opened.OffboardingRecord(command.Context(), args[0], w) })
	})
	command.Flags().StringVar(&output, "output", "", "`FILE` to write")
	return command
}

const tenantVerifyHelp = `Verify the record of a tenant that was offboarded, offline.

Exit codes:
  0  verified
  2  the file is not a record, or its runs are others
  3  the signature or its key
  4  something required is absent: a file, the record at its end, a trusted key
  5  anything else, usage included`

func tenantVerifyCommand() *cobra.Command {
	command := leaf("verify FILE --key PUB | --trust DIR", "Verify the record of an offboarded tenant offline", cobra.ExactArgs(1), nil)
	command.Long = tenantVerifyHelp
	verifyRecord(command, "tenant verify", func(file string, keys verify.Trust) (any, func() [][]string, error) {
		var report offboarding.Report
		err := withFile(file, func(in io.Reader) (err error) {
			report, err = offboarding.Verify(in, keys)
			return err
		})
		if err != nil {
			return nil, nil, notVerified(file, err, offboardingClass(err))
		}
		return report, func() [][]string { return offboardingReport(file, report) }, nil
	})
	return command
}

// offboardingClass sorts what was found into the verifiers' exit codes.
func offboardingClass(err error) verify.Class {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, offboarding.ErrNoRecord):
		return verify.ClassAbsent
	case errors.Is(err, signing.ErrUnknownKey), errors.Is(err, signing.ErrSignature):
		return verify.ClassSignature
	case errors.Is(err, offboarding.ErrForm), errors.Is(err, offboarding.ErrRuns), errors.Is(err, signing.ErrEncoding), errors.Is(err, signing.ErrPayloadType):
		return verify.ClassContent
	}
	return verify.ClassOther
}

func offboardingReport(file string, r offboarding.Report) [][]string {
	rows := int64(0)
	for _, t := range r.Record.Tables {
		rows += t.Rows
	}
	stamp := func(at time.Time) string { return at.UTC().Format(time.RFC3339) }
	return [][]string{
		{"VERIFIED", file},
		{"  tenant", r.Record.Tenant},
		{"  requested", stamp(r.Record.RequestedAt) + " by " + r.Record.RequestedBy},
		{"  reason", r.Record.Reason},
		{"  removed", stamp(r.Record.BegunAt) + " to " + stamp(r.Record.EndedAt)},
		{"  runs", fmt.Sprint(r.Record.Runs.Count)},
		{"  documents", fmt.Sprint(r.Record.Ledger.Documents)},
		{"  blobs", fmt.Sprintf("%d (%d bytes)", r.Record.Blobs.Count, r.Record.Blobs.Bytes)},
		{"  rows", fmt.Sprint(rows)},
		{"  key", r.KeyID},
	}
}
