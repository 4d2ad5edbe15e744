package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
)

const exportOpenHelp = `Open an encrypted bundle: verify it, decrypt it with an age identity, verify what is
within, and write that plain bundle. It needs no server and opens no socket.

PLAIN.tar is there as a whole, with every byte verified, or not at all; only its owner
can read it. Killed in the middle (SIGKILL, power), the command leaves plaintext in
.stella-*.partial beside it: remove that file.

A full mirror's TUF metadata ends; --at, --tuf-root and --newer-than are as of
"stella verify".

Exit codes:
  0  written
  2  content differs: a file, a header, a digest, the order or length of the archive,
     or a generation that is not as new as --newer-than asks
  3  a signature or its key: not valid, or not by a trusted key; or no identity is a recipient's
  4  something required is absent: the file, an entry, a signature, a trusted key, an identity
  5  anything else, usage included`

type openFlags struct {
	key, trust, output string
	identities         []string
	format             *format
	mirror             tufFlags
}

// exportOpenCommand is "stella export open".
func exportOpenCommand() *cobra.Command {
	var flags openFlags
	command := &cobra.Command{
		Use:   "open BUNDLE --identity FILE --output PLAIN.tar --key PUB | --trust DIR",
		Short: "Open an encrypted bundle with an identity",
		Long:  exportOpenHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return verifyUsage(fmt.Errorf("open takes one BUNDLE, not %d", len(args)))
			}
			return nil
		},
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, args []string) error {
			return runOpen(command.Context(), command.OutOrStdout(), args[0], flags)
		},
	}
	trustFlags(command, &flags.key, &flags.trust)
	identityFlags(command, &flags.identities)
	command.Flags().StringVarP(&flags.output, "output", "o", "", "write the plain bundle to `FILE`")
	flags.mirror.add(command)
	flags.format = addFormat(command)
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return verifyUsage(err) })
	return command
}

// runOpen writes the plain bundle. A panic on the way is an error, and leaves no file.
func runOpen(ctx context.Context, out io.Writer, file string, flags openFlags) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = verifyUsage(fmt.Errorf("not opened: %.300q", fmt.Sprint(p)))
		}
	}()
	if ctx == nil {
		ctx = context.Background()
	}
	switch {
	case flags.output == "":
		return verifyUsage(errors.New("give --output FILE: where the plain bundle is written"))
	case len(flags.identities) == 0:
		return &exitError{errors.New("give --identity FILE: a key of one of the recipients"), verify.ClassAbsent.ExitCode()}
	}
	trust, err := loadTrust(flags.key, flags.trust)
	if err != nil {
		return err
	}
	keys, err := loadIdentities(flags.identities)
	if err != nil {
		return err
	}
	policy, err := flags.mirror.policy(flags.key, flags.trust)
	if err != nil {
		return err
	}
	options := append(slices.Clone(verifyOptions), verify.WithMirror(policy))
	from, info, err := verify.OpenRegular(file)
	if errors.Is(err, os.ErrNotExist) {
		return &exitError{fmt.Errorf("%s does not exist", file), verify.ClassAbsent.ExitCode()}
	}
	if err != nil {
		return verifyUsage(err)
	}
	defer from.Close()
	var report verify.Report
	var verdict error
	err = replacePrivate(flags.output, func(w io.Writer) error {
		report, verdict = verify.Open(ctx, from, info.Size(), trust, keys, w, options...)
		return verdict
	})
	if verdict == nil && err != nil {
		return verifyUsage(err)
	}
	if err := printReport(out, file, report, flags.format); err != nil {
		return verifyUsage(errors.Join(fmt.Errorf("print the report: %w", err), verdict))
	}
	return verdict
}
