package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

var updatePage = flag.Bool("update", false, "write docs/cli.md again")

// everyCommand gives the commands for people, each before those below it.
func everyCommand(command *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{command}
	for _, below := range shownBelow(command) {
		all = append(all, everyCommand(below)...)
	}
	return all
}

func shownFlags(command *cobra.Command) (flags []*pflag.Flag) {
	for _, set := range flagSets(command) {
		set.flags.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				flags = append(flags, f)
			}
		})
	}
	return flags
}

// Every help ends with a table of exit codes: the general one, or that of the verifiers.
func TestExitCodesAreInEveryHelp(t *testing.T) {
	for _, command := range everyCommand(rootCommand()) {
		out, err := stella(t, append(strings.Fields(command.CommandPath())[1:], "--help")...)
		require.NoError(t, err)
		codes := 10
		if command.Flags().Lookup("trust") != nil {
			codes = 5
		}
		require.Regexp(t, fmt.Sprintf(`(?m)^ +0 +\w[\s\S]+^ +%d +\w`, codes), out, command.CommandPath())
		require.Contains(t, out, strings.TrimSpace(command.UseLine()))
	}
}

// Whoever types "help" sees the same as with --help; what is not there is an error.
func TestHelp(t *testing.T) {
	for _, path := range []string{"", "export run", "completion bash", "help"} {
		a, err := stella(t, append([]string{"help"}, strings.Fields(path)...)...)
		require.NoError(t, err, path)
		b, err := stella(t, append(strings.Fields(path), "--help")...)
		require.NoError(t, err, path)
		require.Equal(t, b, a, path)
	}
	for _, path := range []string{"frobnicate", "export frobnicate", "export run more"} {
		_, err := stella(t, append([]string{"help"}, strings.Fields(path)...)...)
		require.Equal(t, exitInput, exitCode(err), path)
	}
}

// The manual has a page for every command, with every flag, and nothing of the machine
// it was written on; two times give the same bytes.
func TestManual(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		_, err := stella(t, "man", "--dir", dir)
		require.NoError(t, err)
	}
	entries, err := os.ReadDir(first)
	require.NoError(t, err)
	pages := map[string]string{}
	for _, entry := range entries {
		raw, err := os.ReadFile(filepath.Join(first, entry.Name()))
		require.NoError(t, err)
		again, err := os.ReadFile(filepath.Join(second, entry.Name()))
		require.NoError(t, err)
		require.Equal(t, string(raw), string(again))
		pages[entry.Name()] = string(raw)
	}
	home, err := os.UserHomeDir()
	require.NoError(t, err)
	wd, err := os.Getwd()
	require.NoError(t, err)
	for _, command := range everyCommand(rootCommand()) {
		name := strings.ReplaceAll(command.CommandPath(), " ", "-") + ".1"
		page, there := pages[name]
		require.True(t, there, name)
		delete(pages, name)
		require.Contains(t, page, ".SH NAME\n"+roff(strings.TrimSuffix(name, ".1"))+` \- `+roff(command.Short)+"\n")
		for _, f := range shownFlags(command) {
			require.Contains(t, page, `\fB`+roff(flagName(f))+"\\fR\n"+roff(flagUsage(f))+"\n", name)
		}
		for line := range strings.Lines(page) {
			if line[0] == '.' {
				require.Regexp(t, `^\.(TH|SH|TP|PP|B|RS 4|RE|nf|fi)\b`, line, "a line of text that roff takes for its own")
			}
			require.NotEqual(t, byte('\''), line[0])
		}
		for _, text := range []string{home + "/", wd, first} {
			require.NotContains(t, page, text)
		}
	}
	require.Empty(t, pages, "pages of no command")

	_, err = stella(t, "man", "--dir", filepath.Join(first, "absent"))
	require.Equal(t, exitInput, exitCode(err))
	_, err = stella(t, "man")
	require.Equal(t, exitInput, exitCode(err))
}

func TestRoff(t *testing.T) {
	for text, want := range map[string]string{
		`.TH x`: `\&.TH x`, `'so /etc/passwd`: `\(aqso /etc/passwd`, `a\fBb`: `a\efBb`, "--flag": `\-\-flag`, "`x` ^ ~": `\(gax\(ga \(ha \(ti`,
	} {
		require.Equal(t, want, roff(text))
	}
	require.Equal(t, "a\nb\n.PP\nc:\n.RS 4\n.nf\nx\n  y\n.fi\n.RE\n", roffText("a\nb\n\nc:\n  x\n    y\n"))
}

// docs/cli.md is written from the commands: go test ./cmd/stella -run TestPage -update
func TestPage(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "cli.md")
	old, err := os.ReadFile(path)
	require.NoError(t, err)
	const mark = "<!-- from here on: go test ./cmd/stella -run TestPage -update -->\n"
	head, _, found := strings.Cut(string(old), mark)
	require.True(t, found, "docs/cli.md has lost the line %q", mark)
	page := head + mark + commandPages(rootCommand())
	if *updatePage {
		require.NoError(t, os.WriteFile(path, []byte(page), 0o644))
		return
	}
	require.Equal(t, page, string(old), "docs/cli.md is not what the commands say: go test ./cmd/stella -run TestPage -update")
	require.Contains(t, head, exitCodesHelp)
	for _, key := range settingKeys {
		require.Contains(t, head, "`"+key+"`", "a key of a profile file")
	}
	for name := range variables(t) {
		require.Contains(t, head, "`"+name+"`", "an environment variable")
	}
}

// variables are the names in the environment that the program looks at.
func variables(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(`os\.Getenv\("(\w+)"\)`).FindAllStringSubmatch(string(raw), -1) {
			names[match[1]] = true
		}
	}
	require.Greater(t, len(names), 5)
	return names
}

// commandPages are the sections of docs/cli.md.
func commandPages(root *cobra.Command) string {
	var b strings.Builder
	for _, command := range everyCommand(root)[1:] {
		command.InitDefaultHelpFlag()
		fmt.Fprintf(&b, "\n%s %s\n\n%s.\n\n```\n%s\n```\n", strings.Repeat("#", 1+strings.Count(command.CommandPath(), " ")),
			command.CommandPath(), command.Short, command.UseLine())
		long := strings.TrimSpace(strings.Replace(command.Long, exitCodesHelp, "", 1))
		if long != "" && long != command.Short+"." {
			fmt.Fprintf(&b, "\n```text\n%s\n```\n", long)
		}
		rows := ""
		for _, f := range shownFlags(command) {
			if command.InheritedFlags().Lookup(f.Name) == nil && f.Name != "help" {
				rows += fmt.Sprintf("| `%s` | %s |\n", strings.ReplaceAll(flagName(f), "|", "\\|"), strings.ReplaceAll(flagUsage(f), "|", "\\|"))
			}
		}
		if rows != "" {
			b.WriteString("\n| Flag | |\n|---|---|\n" + rows)
		}
		if parent := command.Parent(); parent.HasAvailablePersistentFlags() {
			fmt.Fprintf(&b, "\nAnd the flags of `%s`.\n", parent.CommandPath())
		}
	}
	return b.String()
}

// Each shell gets a script that it can read; bash is asked whether it can.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, err := stella(t, "completion", shell)
		require.NoError(t, err)
		require.Contains(t, out, "__complete", shell)
		require.Contains(t, out, "stella", shell)
		again, err := stella(t, "completion", shell)
		require.NoError(t, err)
		require.Equal(t, out, again)
		if bash, err := exec.LookPath("bash"); shell == "bash" && err == nil {
			check := exec.Command(bash, "-n")
			check.Stdin = strings.NewReader(out)
			said, err := check.CombinedOutput()
			require.NoError(t, err, "%s", said)
		}
	}
	_, err := stella(t, "completion", "tcsh")
	require.Equal(t, exitInput, exitCode(err))
	_, err = stella(t, "completion")
	require.Equal(t, exitInput, exitCode(err))
	out, err := stella(t, "--help")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^  completion +Print`, out, "it can be seen")
}
