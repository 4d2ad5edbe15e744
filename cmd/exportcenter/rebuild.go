package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/again"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/mirror"
)

const rebuildHelp = `Build a bundle again from a mirror alone, and compare every byte. No service is needed,
and no connection is made.

The mirror (a bundle of mirror:full) is verified first, by the keys of --key or --trust,
never by what is in it. Its originals are imported into a scratch ledger - a private
PostgreSQL in a temporary directory, which is gone afterwards - and the mirror's payload,
manifest, provenance, README and VERIFY are built again by the code that makes exports.

MIRROR is the file of a mirror, or the directory that "stella mirror" keeps one in: so is
built again what came of a mirror and its deltas.

With --bundle it is another bundle that is built again, of json:raw, json:policy, trivy:db
or trivy:java-db. Its provenance must name this mirror, as that of runs does which were
made with: stella export run PROFILE --mirror RUN

A mirror has TUF metadata, which ends: after that it is refused, unless --at names the
moment to judge by.

What comes out is one of

  identical   every byte that was compared
  encoder     the same content, compressed by another encoder
  version     the same payload, described by another version of the program
  different   anything else; the first difference is named

PostgreSQL 14 or newer must be installed, as for "exportcenter up".

Exit codes:
  0  verified, and identical
  1  verified, and other bytes came out
  2  content differs from what was signed
  3  a signature or its key: not valid, or not by a trusted key
  4  something required is absent: a file, an entry, a trusted key, or what a rebuild needs
  5  anything else, usage included`

type rebuildFlags struct {
	from, other string
	key, trust  string
	format      string
	at          string
	scratch     string
	postgresBin string
}

// errOtherBytes: the bundle is what was signed, but other bytes came out. It is told in
// the output.
var errOtherBytes = errors.New("other bytes came out")

func rebuildCommand() *cobra.Command {
	var flags rebuildFlags
	cmd := &cobra.Command{
		Use:   "rebuild --from MIRROR [--bundle OTHER] --key PUB | --trust DIR",
		Short: "Build a bundle again from a mirror alone, and compare every byte",
		Long:  rebuildHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return endedAs(verify.ClassOther, fmt.Errorf("rebuild takes no arguments: give the mirror with --from, and the keys with --key or --trust"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilAsked(cmd)
			defer stop()
			return runRebuild(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.from, "from", "", "`MIRROR`: its file, or the directory that stella mirror keeps it in")
	f.StringVar(&flags.other, "bundle", "", "`FILE` with a bundle of the mirror that is built again; empty: the mirror itself")
	f.StringVar(&flags.key, "key", "", "`FILE` with the public key to trust (PEM)")
	f.StringVar(&flags.trust, "trust", "", "`DIR` whose *.pub files are the keys to trust")
	f.StringVar(&flags.at, "at", "", "judge the mirror's TUF metadata as of this `TIME` (2026-11-21, or RFC 3339) and not as of now")
	f.StringVar(&flags.format, "format", "table", "`FORMAT` of the output: table or json")
	f.StringVar(&flags.scratch, "scratch", "", "`DIR` in which a directory is made, and removed again; empty: the system's (TMPDIR)")
	f.StringVar(&flags.postgresBin, "postgres-bin", "", "`DIR` with initdb and postgres; default: Debian's, else PATH")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return endedAs(verify.ClassOther, err) })
	return cmd
}

// runRebuild is the only way to exit code 0. Whatever goes wrong on it ends with another
// code: a panic too, which Go would end with 2.
func runRebuild(ctx context.Context, out, errOut io.Writer, flags rebuildFlags) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = endedAs(verify.ClassOther, fmt.Errorf("not rebuilt: the program itself failed: %.300q", fmt.Sprint(p)))
		}
	}()
	switch {
	case flags.from == "":
		return endedAs(verify.ClassOther, errors.New("--from is missing: the file of the mirror, or its directory"))
	case flags.format != "table" && flags.format != "json":
		return endedAs(verify.ClassOther, fmt.Errorf("--format %q: choose table or json", flags.format))
	}
	trust, err := replayTrust(replayFlags{key: flags.key, trust: flags.trust})
	if err != nil {
		return err
	}
	kinds, err := profileKinds()
	if err != nil {
		return endedAs(verify.ClassOther, err)
	}
	mirrored := verify.MirrorPolicy{Clock: clock.System}
	if mirrored.At, err = flags.moment(); err != nil {
		return endedAs(verify.ClassOther, err)
	}
	result, err := again.Run(ctx, again.Options{Mirror: flags.from, Other: flags.other, Trust: trust, Mirrored: mirrored, Scratch: flags.scratch, PostgresBin: flags.postgresBin,
		Adapters: kinds, Parse: parseEvidence, Version: version, Workers: runtime.GOMAXPROCS(0), Log: slog.New(slog.DiscardHandler),
		Say: func(format string, args ...any) { fmt.Fprintf(errOut, format+"\n", args...) }})
	if err != nil {
		return rebuildEnded(err)
	}
	if err := printRebuild(out, result, flags); err != nil {
		return endedAs(verify.ClassOther, fmt.Errorf("print the result: %w", err))
	}
	if result.Verdict != export.RebuildIdentical {
		return &ended{errOtherBytes, 1}
	}
	return nil
}

// moment is when the mirror must have been good; zero: now.
func (f rebuildFlags) moment() (at time.Time, err error) {
	if f.at == "" {
		return at, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if at, err = time.Parse(layout, f.at); err == nil {
			return at, nil
		}
	}
	return at, fmt.Errorf("--at: %q is not a day (2026-11-21) or a time (2026-11-21T08:00:00Z)", f.at)
}

// rebuildEnded gives an error its exit code, unless it is the verifier's and has one.
func rebuildEnded(err error) error {
	var verdict *verify.Error
	var refused *again.Refused
	var kept *mirror.Error
	switch {
	case errors.As(err, &verdict):
		return err
	case errors.As(err, &refused):
		return endedAs(verify.ClassAbsent, err)
	case errors.As(err, &kept) && kept.ExitCode() <= verify.ClassOther.ExitCode():
		return &ended{err, kept.ExitCode()}
	}
	return endedAs(verify.ClassOther, err)
}

func printRebuild(out io.Writer, r again.Result, flags rebuildFlags) error {
	if flags.format == "json" {
		raw, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			_, err = fmt.Fprintf(out, "%s\n", raw)
		}
		return err
	}
	rows := [][2]string{{"verdict", string(r.Verdict)}, {"bundle", r.ExportID + " of profile " + r.Profile},
		{"mirror", r.Mirror + ", generation " + strconv.FormatInt(r.Generation, 10)},
		{"evidence", fmt.Sprintf("%d documents from %d originals", r.Documents, r.Originals)},
		{"compared", fmt.Sprintf("%d entries, %d bytes", r.Files, r.Bytes)}}
	if d := r.First; d != nil {
		rows = append(rows, [2]string{"first", d.String()})
	}
	if r.Recorded != r.Now {
		rows = append(rows, [2]string{"recorded", r.Recorded.Version + ", " + r.Recorded.Encoder}, [2]string{"now", r.Now.Version + ", " + r.Now.Encoder})
	}
	for _, why := range r.NotCompared {
		rows = append(rows, [2]string{"not compared", why})
	}
	for _, row := range rows {
		if _, err := fmt.Fprintf(out, "%-13s %s\n", row[0], printable(row[1])); err != nil {
			return err
		}
	}
	return nil
}
