package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
)

const verifyHelp = `Verify a bundle offline.

Every byte of FILE is held against its manifest, checksums, signatures and seal.
The keys to trust come from --key, from the *.pub files of --trust, or from the
directory named by STELLA_TRUST (or STELLA_TRUST_ROOTS, or trust_roots of a
profile file); never from the bundle.

An encrypted bundle is verified as far as that goes without its keys: signatures,
layout and every ciphertext, and nothing of what is inside. Its status is then
"unopened", never "verified": what the report says of contents is what the signed
manifest claims. With --identity it is opened and verified to the end, and nothing is
written; --require-opened refuses it when no identity was given.

A full mirror has TUF metadata, which ends: after that it is refused, unless --at names
the moment to judge by. Its chain of roots is compared with the root of --tuf-root, or
with tuf/root.json of the trust directory. Put the newest root there whenever the
service has made one: with an older root, mirrors of a key that is retired since, and
may be stolen, are taken too. Without a root the report says that the roots were
compared with nothing. --newer-than refuses a mirror that is no news.

Exit codes:
  0  verified: every check passed; or unopened, see above: every check passed that
     takes no key
  2  content differs: a file, a header, a digest, the order or length of the archive,
     or a generation that is not as new as --newer-than asks
  3  a signature or its key: not valid, not by a trusted key, or over by its own word;
     a TUF root that is not the trusted one; or no identity is a recipient's
  4  something required is absent: the file, an entry, a signature, a trusted key, or
     with --require-opened or --evidence an identity for an encrypted bundle
  5  anything else, usage included`

// verifyUsage is an error of this command that is not about the bundle.
func verifyUsage(err error) error {
	return &exitError{err, verify.ClassOther.ExitCode()}
}

type verifyFlags struct {
	key, trust string
	approvers  string
	format     *format
	evidence   bool
	mustOpen   bool
	identities []string
	mirror     tufFlags
}

// verifyCommand is "stella verify": it needs no server and opens no socket.
func verifyCommand() *cobra.Command {
	var flags verifyFlags
	var profile string
	command := &cobra.Command{
		Use:   "verify FILE --key PUB | --trust DIR",
		Short: "Verify a bundle offline",
		Long:  verifyHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return verifyUsage(fmt.Errorf("verify takes one FILE, not %d", len(args)))
			}
			return nil
		},
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, args []string) error {
			return runVerify(command.Context(), command.OutOrStdout(), args[0], flags)
		},
	}
	trustFlags(command, &flags.key, &flags.trust)
	contextFlags(command, &profile, "`NAME` of a profile file that may say what is trusted (STELLA_CONTEXT)")
	command.Flags().StringVar(&flags.approvers, "approvers", "", "`DIR` whose *.pub files are the keys of those who may approve that a bundle has evidence of other tenants; their signatures are verified too")
	command.Flags().BoolVar(&flags.evidence, "evidence", false, "also read every line, and tell how many documents are proved to be what was imported")
	identityFlags(command, &flags.identities)
	command.Flags().BoolVar(&flags.mustOpen, "require-opened", false, "refuse an encrypted bundle whose contents are not verified because no identity was given")
	flags.mirror.add(command)
	flags.format = addFormat(command)
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return verifyUsage(err) })
	return command
}

// verifyOptions is empty in the program; a test puts in what breaks a step.
var verifyOptions []verify.Option

// runVerify is the only way to exit code 0. A panic on it is an error of the
// verifier: without that Go would end with 2, which says that content differs.
func runVerify(ctx context.Context, out io.Writer, file string, flags verifyFlags) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = verifyUsage(fmt.Errorf("not verified: the verifier itself failed: %.300q", fmt.Sprint(p)))
		}
	}()
	if ctx == nil {
		ctx = context.Background()
	}
	trust, err := loadTrust(flags.key, flags.trust)
	if err != nil {
		return err
	}
	options := slices.Clone(verifyOptions)
	if flags.approvers != "" {
		approvers, err := loadTrust("", flags.approvers)
		if err != nil {
			return err
		}
		options = append(options, verify.WithApprovers(approvers))
	}
	if flags.evidence {
		options = append(options, verify.WithEvidence())
	}
	if flags.mustOpen {
		options = append(options, verify.WithOpened())
	}
	keys, err := loadIdentities(flags.identities)
	if err != nil {
		return err
	}
	options = append(options, verify.WithKeys(keys))
	policy, err := flags.mirror.policy(flags.key, flags.trust)
	if err != nil {
		return err
	}
	options = append(options, verify.WithMirror(policy))
	report, verdict := verify.File(ctx, file, trust, options...)
	if err := printReport(out, file, report, flags.format); err != nil {
		// A report that nobody can read must not look like a success.
		return verifyUsage(errors.Join(fmt.Errorf("print the report: %w", err), verdict))
	}
	return verdict
}

func printReport(out io.Writer, file string, report verify.Report, f *format) error {
	if f.machine() {
		return f.encode(out, report)
	}
	var lines []string
	add := func(name, format string, args ...any) {
		lines = append(lines, fmt.Sprintf("  %-10s ", name)+printable(fmt.Sprintf(format, args...))+"\n")
	}
	claimed := ""
	switch report.Status {
	case verify.StatusVerified:
		lines = append(lines, fmt.Sprintf("VERIFIED %q\n", file))
	case verify.StatusUnopened:
		lines = append(lines, fmt.Sprintf("UNOPENED, contents not verified: %q\n", file))
		claimed = ", says the signed manifest"
	default:
		lines = append(lines, fmt.Sprintf("NOT VERIFIED %q\n", file))
	}
	if f := report.Failure; f != nil {
		add("failure", "%s (%s)", f.Class, f.Reason)
		if f.Path != "" {
			add("entry", "%q", f.Path)
		}
		add("why", "%s", f.Message)
	}
	if report.RunID != "" {
		add("run", "%s of tenant %s", report.RunID, report.Tenant)
		add("documents", "%d in %d files%s", report.Records, report.Files, claimed)
		add("payload", "%s%s", report.PayloadDigest, claimed)
	}
	for _, a := range report.Approvals {
		whose, word := a.Tenant, "the approver's signature was not asked for (--approvers)"
		if a.Project != "" {
			whose += ", project " + a.Project
		}
		if a.Verified {
			word = "its signature is good"
		}
		add("approval", "evidence of %s, by %q until %s; %s", whose, a.Approver, a.ExpiresAt, word)
	}
	printTUF(report.TUF, add)
	if e := report.Evidence; e != nil {
		add("evidence", "%d identical to what was imported, %d rewritten in canonical form, %d redacted", e.Identical, e.Rewritten, e.Redacted)
	}
	if e := report.Encryption; e != nil {
		add("encrypted", "mode %s, for %s", e.Mode, strings.Join(e.Recipients, ", "))
		for _, o := range e.Omitted {
			add("left out", "%s: %s", o.Recipient, o.Reason)
		}
		if e.Opened {
			add("opened", "as %s: the contents are verified too; plain archive %s", e.As, e.PlainDigest)
		} else {
			add("NOT opened", "what is inside the encrypted files was not verified (--identity FILE)")
		}
	}
	if report.ArchiveDigest != "" {
		add("archive", "%s", report.ArchiveDigest)
	}
	key := ""
	for _, s := range report.Signatures {
		if s.OK && s.KeyID != key {
			key = s.KeyID
			add("key", "%s (%s)", s.KeyID, s.Algorithm)
		}
		if s.OK {
			add("signed", "%s, in %s", s.Artifact, s.Path)
		} else {
			add("NOT signed", "%s, in %s", s.Artifact, s.Path)
		}
	}
	add("checks", "%d passed, %d failed", count(report.Checks, true), count(report.Checks, false))
	for _, line := range lines {
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
	}
	return nil
}

func count(checks []verify.Check, ok bool) (n int) {
	for _, c := range checks {
		if c.OK == ok {
			n++
		}
	}
	return n
}
