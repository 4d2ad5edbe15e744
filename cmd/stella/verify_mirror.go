package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/internal/clock"
)

// tufFlags are what a command asks of mirrors.
type tufFlags struct {
	root, at  string
	newerThan int64
}

func (m *tufFlags) add(command *cobra.Command) {
	m.addTrust(command)
	command.Flags().Int64Var(&m.newerThan, "newer-than", 0, "refuse a mirror whose generation is not greater than `GENERATION`")
}

// addTrust is for commands that know which generation they have.
func (m *tufFlags) addTrust(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&m.root, "tuf-root", "", "`FILE` with a TUF root that you have from elsewhere; a mirror's roots must follow from it. Default: tuf/root.json of the trust directory, if it is there")
	flags.StringVar(&m.at, "at", "", "judge a mirror as of this `TIME` (2026-11-21, or RFC 3339) and not as of now")
}

// policy is what verify is to ask. A flag that only mirrors have refuses other bundles.
func (m tufFlags) policy(key, trust string) (verify.MirrorPolicy, error) {
	p := verify.MirrorPolicy{Clock: clock.System, NewerThan: m.newerThan, Only: m.root != "" || m.at != "" || m.newerThan != 0}
	if m.newerThan < 0 {
		return p, verifyUsage(errors.New("--newer-than is a generation: 1 or more"))
	}
	if m.at != "" {
		text, err := parseTime(m.at)
		if err != nil {
			return p, verifyUsage(err)
		}
		if p.At, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return p, verifyUsage(err)
		}
	}
	var err error
	p.Root, err = loadRoot(m.root, key, trust)
	return p, err
}

// printTUF tells what a mirror's metadata says, and what was not looked at.
func printTUF(t *verify.TUF, add func(name, format string, args ...any)) {
	if t == nil {
		return
	}
	add("mirror", "generation %d, good until %s (%s)", t.Generation, t.Expires, t.Ends)
	switch {
	case t.TrustedRoot > 0:
		add("roots", "%d, following from the trusted root %d", t.Roots, t.TrustedRoot)
	default:
		add("roots", "%d, compared with NO root from outside (--tuf-root); the first has %s", t.Roots, t.FirstRoot)
	}
	if t.AtNamed {
		add("judged", "as of %s, which was named, not as of now", t.At)
	}
}
