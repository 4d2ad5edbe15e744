package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/policy"
)

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Work with policy decisions, offline",
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(replayCommand(), checkPackCommand(), capabilitiesCommand())
	return cmd
}

// ended is an error with the exit code of its command.
type ended struct {
	error
	code int
}

func (e *ended) Unwrap() error { return e.error }

// endedAs gives err the exit code of a class of the verifier.
func endedAs(class verify.Class, err error) error { return &ended{err, class.ExitCode()} }

// errDecidedOtherwise: the bundle is what was signed, but its decisions do not
// follow from its evidence. It is told in the output.
var errDecidedOtherwise = errors.New("other decisions came out")

const replayHelp = `Decide again what a bundle of profile json:policy says, from the bundle alone.

The bundle is verified first, by the keys of --key or --trust, never by what is in
it. Then the findings are made again from its evidence and its policy pack, in a
directory of its own, and compared byte by byte with those in the bundle. No service
is needed, and no connection is made.

Exit codes:
  0  verified, and the same decisions came out
  2  content differs from what was signed, or other decisions came out
  3  a signature or its key: not valid, or not by a trusted key
  4  something required is absent: the file, an entry, a trusted key, decisions
  5  anything else, usage included`

type replayFlags struct {
	key, trust string
	format     string
	scratch    string
}

func replayCommand() *cobra.Command {
	var flags replayFlags
	cmd := &cobra.Command{
		Use:   "replay BUNDLE --key PUB | --trust DIR",
		Short: "Decide again what a bundle says, and compare",
		Long:  replayHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return endedAs(verify.ClassOther, fmt.Errorf("replay takes one BUNDLE, not %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilAsked(cmd)
			defer stop()
			return runReplay(ctx, cmd.OutOrStdout(), args[0], flags)
		},
	}
	cmd.Flags().StringVar(&flags.key, "key", "", "`FILE` with the public key to trust (PEM)")
	cmd.Flags().StringVar(&flags.trust, "trust", "", "`DIR` whose *.pub files are the keys to trust")
	cmd.Flags().StringVar(&flags.format, "format", "table", "`FORMAT` of the output: table or json")
	cmd.Flags().StringVar(&flags.scratch, "scratch", "", "`DIR` in which a directory for sorting is made, and removed again; empty: the system's (TMPDIR)")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return endedAs(verify.ClassOther, err) })
	return cmd
}

// runReplay is the only way to exit code 0. Whatever goes wrong on it ends with
// another code: a panic too, which Go would end with 2.
func runReplay(ctx context.Context, out io.Writer, file string, flags replayFlags) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = endedAs(verify.ClassOther, fmt.Errorf("not replayed: the program itself failed: %.300q", fmt.Sprint(p)))
		}
	}()
	if flags.format != "table" && flags.format != "json" {
		return endedAs(verify.ClassOther, fmt.Errorf("--format %q: choose table or json", flags.format))
	}
	trust, err := replayTrust(flags)
	if err != nil {
		return err
	}
	report, err := replayFile(ctx, file, trust, flags.scratch)
	if err != nil {
		return err
	}
	if err := printReplay(out, file, report, flags.format); err != nil {
		return endedAs(verify.ClassOther, fmt.Errorf("print the report: %w", err))
	}
	if !report.Same {
		return endedAs(verify.ClassContent, errDecidedOtherwise)
	}
	return nil
}

// replayTrust reads the keys to trust.
func replayTrust(flags replayFlags) (verify.Trust, error) {
	if flags.key == "" && flags.trust == "" {
		return nil, endedAs(verify.ClassOther, errors.New("no key to trust: give --key PUB or --trust DIR"))
	}
	trust, err := verify.LoadTrust(flags.key, flags.trust)
	switch {
	case err == nil:
		return trust, nil
	case errors.Is(err, verify.ErrNoKeys), errors.Is(err, os.ErrNotExist):
		return nil, endedAs(verify.ClassAbsent, err)
	}
	return nil, endedAs(verify.ClassSignature, err)
}

// replayFile verifies a bundle and decides again.
func replayFile(ctx context.Context, file string, trust verify.Trust, scratch string) (report policy.Replayed, err error) {
	verified, err := verify.File(ctx, file, trust)
	if err != nil {
		return report, err // it has its exit code
	}
	archive, err := openDecisions(file, verified)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	dir, err := os.MkdirTemp(scratch, "exportcenter-replay-")
	if err != nil {
		return report, endedAs(verify.ClassOther, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	report, err = policy.Replay(ctx, archive.recorded(), dir, 0)
	if err != nil {
		return report, endedAs(verify.ClassOther, fmt.Errorf("%q is verified, but could not be decided again: %w", file, err))
	}
	return report, nil
}

func printReplay(out io.Writer, file string, r policy.Replayed, format string) error {
	if format == "json" {
		raw, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			_, err = fmt.Fprintf(out, "%s\n", raw)
		}
		return err
	}
	word := "SAME DECISIONS"
	if !r.Same {
		word = "OTHER DECISIONS"
	}
	text := fmt.Sprintf("%s %q\n  %-10s %d\n  %-10s %s, version %q, pack %s\n  %-10s %s\n  %-10s %s\n  %-10s %s %s, matcher %s\n",
		word, file, "findings", r.Findings, "policy", printable(r.SnapshotID), r.PolicyVersion, r.PackDigest,
		"inputs", r.InputsHash, "trace", r.DecisionTrace, "engine", r.Now.Name, r.Now.Version, r.Now.Matcher)
	if r.Now != r.Recorded {
		text += fmt.Sprintf("  %-10s %s %s, matcher %s\n", "recorded", printable(r.Recorded.Name), printable(r.Recorded.Version), printable(r.Recorded.Matcher))
	}
	if d := r.Difference; d != nil {
		text += fmt.Sprintf("  %-10s %s, line %d\n", "entry", printable(d.Path), d.Line)
		if d.Finding != "" {
			text += fmt.Sprintf("  %-10s %s\n", "finding", printable(d.Finding))
		}
		text += fmt.Sprintf("  %-10s %s\n", "why", printable(d.Message))
	}
	_, err := io.WriteString(out, text)
	return err
}
