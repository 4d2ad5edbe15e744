package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/mirror"
)

const mirrorCodesHelp = `Exit codes:
  0   ok
  2   content differs: of a bundle, of the directory, or base and delta do not give the target
  3   a signature or its key: not valid, not by a trusted key, or by one that was taken away
  4   something required is absent: the mirror, a file, a trusted key, the plain bundle of an encrypted one
  5   anything else: usage, the disk
  6   the delta is made for another base
  7   the bundle is of another tenant, project, profile or selection
  8   rollback: the delta leads to an older generation, or the mirror is not as new as --newer-than asks
  9   replay: the delta was applied before
  11  a gap: a delta between is missing
  12  the deltas are in another order than they lead on
  13  another command is at work on the directory`

// mirrorCommand is "stella mirror": it needs no server and opens no socket.
func mirrorCommand() *cobra.Command {
	command := group("mirror", "Keep a mirror in a directory, without a network",
		"Keep a mirror in a directory: a full one first, then what changed. Nothing is touched\nbefore the signatures were verified, by keys that come from you (docs/mirror.md). The commands\nbelow have exit codes of their own.\n\n"+exitCodesHelp)
	command.AddCommand(mirrorInitCommand(), mirrorApplyCommand(), mirrorStatusCommand())
	return command
}

// mirrorFlags are what the commands have in common.
type mirrorFlags struct {
	key, trust string
	tuf        tufFlags
	format     *format
}

func (f *mirrorFlags) add(command *cobra.Command) {
	trustFlags(command, &f.key, &f.trust)
	f.format = addFormat(command)
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return verifyUsage(err) })
	args := command.Args
	command.Args = func(command *cobra.Command, given []string) error {
		if err := args(command, given); err != nil {
			return verifyUsage(err)
		}
		return nil
	}
}

// options read the keys to trust, and say what is done on the error output.
func (f *mirrorFlags) options(command *cobra.Command) (mirror.Options, error) {
	say := func(format string, args ...any) {
		fmt.Fprintln(command.ErrOrStderr(), printable(fmt.Sprintf(format, args...)))
	}
	keys, err := loadTrust(f.key, f.trust)
	if err != nil {
		return mirror.Options{}, err
	}
	policy, err := f.tuf.policy(f.key, f.trust)
	policy.Only = false // deltas are verified too, and have no metadata of their own
	if policy.Root == nil && err == nil {
		say("the mirror's TUF roots are compared with no root from outside (--tuf-root)")
	}
	return mirror.Options{Trust: keys, Say: say, Mirror: policy}, err
}

// run does it; a panic is an error of the program, not one of the content.
func (f *mirrorFlags) run(command *cobra.Command, do func(ctx context.Context, o mirror.Options) (any, [][]string, error)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = verifyUsage(fmt.Errorf("the program itself failed: %.300q", fmt.Sprint(p)))
		}
	}()
	options, err := f.options(command)
	if err != nil {
		return err
	}
	value, rows, err := do(command.Context(), options)
	if err != nil {
		return err
	}
	if err := f.format.print(command.OutOrStdout(), value, func() [][]string { return rows }); err != nil {
		return verifyUsage(fmt.Errorf("print the result: %w", err))
	}
	return nil
}

func mirrorInitCommand() *cobra.Command {
	var flags mirrorFlags
	command := leaf("init DIR BUNDLE --key PUB | --trust DIR", "Make a directory a mirror", cobra.ExactArgs(2), nil)
	command.Long = "Make DIR, which is absent or empty, the full mirror in BUNDLE: verified, unpacked, and verified\nagain as it lies there. A directory that begins knows no generation: after one that\nhad 12, --newer-than 11 takes no older mirror.\n\n  stella mirror init /srv/mirror full.tar --key producer.pub\n\n" + mirrorCodesHelp
	flags.add(command)
	flags.tuf.add(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		return flags.run(command, func(ctx context.Context, o mirror.Options) (any, [][]string, error) {
			status, err := mirror.Init(ctx, args[0], args[1], o)
			return status, mirrorRows("INITIALISED", args[0], status), err
		})
	}
	return command
}

func mirrorApplyCommand() *cobra.Command {
	var flags mirrorFlags
	var base string
	command := leaf("apply --base DIR DELTA... --key PUB | --trust DIR", "Bring a mirror further by deltas", cobra.MinimumNArgs(1), nil)
	command.Long = `Bring the mirror in DIR further by deltas, in the order in which they lead on.

All of them are verified, and found to lead from what DIR holds, before anything is
touched. After each, DIR holds that delta's target, byte for byte the full mirror that
the producer published, and verified as that; or what it held before. A command that
ended on the way is given again, and goes on.

  stella mirror apply --base /srv/mirror monday.tar tuesday.tar --key producer.pub

` + mirrorCodesHelp
	flags.add(command)
	flags.tuf.addTrust(command)
	command.Flags().StringVar(&base, "base", "", "`DIR` of the mirror")
	command.RunE = func(command *cobra.Command, args []string) error {
		if base == "" {
			return verifyUsage(errors.New("name the directory of the mirror: --base DIR"))
		}
		return flags.run(command, func(ctx context.Context, o mirror.Options) (any, [][]string, error) {
			outcome, err := mirror.Apply(ctx, base, args, o)
			rows := mirrorRows("APPLIED", base, outcome.Status)
			for _, d := range outcome.Done {
				rows = append(rows, []string{"  applied", fmt.Sprintf("%s, to generation %d", d.ExportID, d.Generation)})
			}
			if outcome.Before > 0 {
				rows = append(rows, []string{"  before", fmt.Sprintf("%d deltas, by the same command, which ended on the way", outcome.Before)})
			}
			if outcome.Copied > 0 {
				rows = append(rows, []string{"  copied", fmt.Sprintf("%d files: the file system has no hard links", outcome.Copied)})
			}
			return outcome, rows, err
		})
	}
	return command
}

func mirrorStatusCommand() *cobra.Command {
	var flags mirrorFlags
	var verified bool
	command := leaf("status DIR [--verify --key PUB | --trust DIR]", "Say what a mirror holds", cobra.ExactArgs(1), nil)
	command.Long = "Say what the mirror in DIR holds and which deltas led to it. With --verify all of it is\nverified: signatures, every file, and that nothing else is there. Without, nothing is:\nit says what the directory says of itself.\n\n" + mirrorCodesHelp
	flags.add(command)
	flags.tuf.addTrust(command)
	command.Flags().BoolVar(&verified, "verify", false, "verify all that is there")
	command.RunE = func(command *cobra.Command, args []string) error {
		show := func(ctx context.Context, o mirror.Options) (any, [][]string, error) {
			status, err := mirror.Look(ctx, args[0], verified, o)
			title := "NOT VERIFIED NOW"
			if verified {
				title = "VERIFIED"
			}
			return status, mirrorRows(title, args[0], status), err
		}
		if verified {
			return flags.run(command, show)
		}
		value, rows, err := show(command.Context(), mirror.Options{})
		if err != nil {
			return err
		}
		return flags.format.print(command.OutOrStdout(), value, func() [][]string { return rows })
	}
	return command
}

// sameContent says of what is not exactly the published mirror that it is not.
func sameContent(title string) string {
	const same = "SAME CONTENT, pages not verified"
	if title == "VERIFIED" {
		return same
	}
	return title + ", " + same
}

// mirrorRows show what a directory holds.
func mirrorRows(title, dir string, s mirror.Status) [][]string {
	if s.Status == mirror.StatusSameContent {
		title = sameContent(title)
	}
	rows := [][]string{
		{title, dir},
		{"  mirror", fmt.Sprintf("%s of tenant %s, generation %d", s.Mirror.ExportID, s.Tenant, s.Mirror.Generation)},
		{"  profile", fmt.Sprintf("%s (%s:%s), requested %s", s.Profile.Name, s.Profile.Kind, s.Profile.Variant, s.GeneratedAt)},
		{"  documents", fmt.Sprintf("%d, and %d originals", s.Documents, s.Originals)},
		{"  manifest", s.Mirror.ManifestDigest.String()},
	}
	if s.Repacked > 0 {
		rows = append(rows, []string{"  archive", fmt.Sprintf("same content, packed by another encoder: %d files", s.Repacked)})
	} else {
		rows = append(rows, []string{"  archive", s.ArchiveDigest})
	}
	return append(rows, []string{"  deltas", fmt.Sprintf("%d applied", len(s.Applied))})
}
