package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func manCommand() *cobra.Command {
	var dir string
	command := leaf("man --dir DIR", "Write the manual pages", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		if dir == "" {
			return inputErrorf("name a directory with --dir DIR")
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return inputErrorf("--dir %s: it is not a directory", dir)
		}
		return writeManual(command.Root(), dir)
	})
	command.Long = `Write a manual page for each command into a directory, section 1:

  mkdir -p ~/.local/share/man/man1
  stella man --dir ~/.local/share/man/man1
  man stella-export-run

The same program writes the same bytes, whenever and wherever it runs.`
	command.Flags().StringVar(&dir, "dir", "", "`DIR` to write into")
	_ = command.MarkFlagDirname("dir")
	return command
}

// writeManual writes the page of command and of all below it.
func writeManual(command *cobra.Command, dir string) error {
	path := filepath.Join(dir, manName(command)+".1")
	err := writeAtomically(path, func(w io.Writer) error {
		_, err := io.WriteString(w, manPage(command))
		return err
	})
	if err != nil {
		return err
	}
	for _, below := range shownBelow(command) {
		if err := writeManual(below, dir); err != nil {
			return err
		}
	}
	return nil
}

// shownBelow are the commands right below one that are for people.
func shownBelow(command *cobra.Command) (shown []*cobra.Command) {
	for _, below := range command.Commands() {
		if below.IsAvailableCommand() {
			shown = append(shown, below)
		}
	}
	return shown
}

func manName(command *cobra.Command) string {
	return strings.ReplaceAll(command.CommandPath(), " ", "-")
}

// manDate is in every page: a page says what its program does, not when it was written.
const manDate = "November 2026"

// manPage is a page in the man macros of roff (man(7)).
func manPage(command *cobra.Command) string {
	command.InitDefaultHelpFlag()
	var b strings.Builder
	section := func(name string) { b.WriteString(".SH " + name + "\n") }
	fmt.Fprintf(&b, ".TH \"%s\" \"1\" \"%s\" \"Export Center\" \"stella manual\"\n", strings.ToUpper(manName(command)), manDate)
	section("NAME")
	b.WriteString(roff(manName(command)) + " \\- " + roff(command.Short) + "\n")
	section("SYNOPSIS")
	b.WriteString(".B " + roff(command.UseLine()) + "\n")
	section("DESCRIPTION")
	b.WriteString(roffText(firstOf(command.Long, command.Short)))
	for _, set := range flagSets(command) {
		section(set.title)
		set.flags.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				b.WriteString(".TP\n\\fB" + roff(flagName(f)) + "\\fR\n" + roff(flagUsage(f)) + "\n")
			}
		})
	}
	if see := seeAlso(command); see != "" {
		section("SEE ALSO")
		b.WriteString(see)
	}
	return b.String()
}

type flagSet struct {
	title string
	flags *pflag.FlagSet
}

// flagSets are the flags of a command and those of the group it is in.
func flagSets(command *cobra.Command) (sets []flagSet) {
	for _, set := range []flagSet{{"OPTIONS", command.NonInheritedFlags()}, {"OPTIONS OF THE GROUP", command.InheritedFlags()}} {
		if set.flags.HasAvailableFlags() {
			sets = append(sets, set)
		}
	}
	return sets
}

// flagName is -h, --help or --limit int.
func flagName(f *pflag.Flag) string {
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if word, _ := pflag.UnquoteUsage(f); word != "" {
		name += " " + word
	}
	return name
}

func flagUsage(f *pflag.Flag) string {
	_, usage := pflag.UnquoteUsage(f)
	switch f.DefValue {
	case "", "false", "0", "[]":
		return usage
	}
	return usage + " (default " + f.DefValue + ")"
}

func seeAlso(command *cobra.Command) string {
	var names []string
	if command.HasParent() {
		names = append(names, manName(command.Parent()))
	}
	for _, below := range shownBelow(command) {
		names = append(names, manName(below))
	}
	for i, name := range names {
		names[i] = "\\fB" + roff(name) + "\\fR(1)"
	}
	if len(names) == 0 {
		return ""
	}
	return strings.Join(names, ",\n") + "\n"
}

// roff escapes what roff would read as its own: in a line, and at its beginning.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

// roffText lays out the long text of a command: paragraphs are filled, what is indented
// stays as it is.
func roffText(text string) string {
	var b strings.Builder
	for i, paragraph := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		asIs := false
		for line := range strings.SplitSeq(paragraph, "\n") {
			if indented := strings.HasPrefix(line, "  "); indented != asIs {
				b.WriteString(map[bool]string{true: ".RS 4\n.nf\n", false: ".fi\n.RE\n"}[indented])
				asIs = indented
			}
			b.WriteString(roff(strings.TrimPrefix(line, "  ")) + "\n")
		}
		if asIs {
			b.WriteString(".fi\n.RE\n")
		}
	}
	return b.String()
}
