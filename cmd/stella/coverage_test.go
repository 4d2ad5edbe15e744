package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// line is a line of a script that runs a command of ours.
type line struct {
	where string
	args  []string
	good  bool
}

// scriptLines are the lines of all scripts that run stella: by themselves, which must
// end well, or through "status", which says how they end.
func scriptLines(t *testing.T) (lines []line) {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join("testdata", "*", "*.txtar"))
	require.NoError(t, err)
	for _, path := range scripts {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		for text := range strings.Lines(string(raw)) {
			text = strings.TrimSpace(text)
			if strings.HasPrefix(text, "-- ") {
				break // the files of the script
			}
			words := splitLine(text)
			switch {
			case len(words) > 0 && words[0] == "stella":
				lines = append(lines, line{path + ": " + text, words[1:], true})
			case len(words) > 2 && words[0] == "status" && words[2] == "stella":
				lines = append(lines, line{path + ": " + text, words[3:], words[1] == "0"})
			case len(words) > 1 && words[0] == "exec" && words[1] == "stella":
				lines = append(lines, line{path + ": " + text, words[2:], true})
			case strings.HasPrefix(text, "!") && strings.Contains(text, " stella "):
				t.Errorf("%s: %s: say which exit code, with status", path, text)
			}
		}
	}
	return lines
}

// splitLine splits a line of a script into words: quotes keep them together, two of
// them stand for one, and # begins a comment.
func splitLine(text string) (words []string) {
	var word strings.Builder
	begun, quotes := false, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quotes && c == '\'' && strings.HasPrefix(text[i+1:], "'"):
			word.WriteByte(c)
			i++
		case c == '\'':
			quotes, begun = !quotes, true
		case !quotes && c == '#' && !begun:
			return words
		case !quotes && (c == ' ' || c == '\t'):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// Every command and sub-command is run by a script well and badly; which ones there
// are is read from the program, which ones are run from the scripts.
func TestEveryCommandHasAGoodAndABadScript(t *testing.T) {
	root := rootCommand()
	good, bad := map[*cobra.Command]bool{}, map[*cobra.Command]bool{}
	for _, l := range scriptLines(t) {
		command, _, err := root.Find(l.args)
		if err != nil {
			command = root
		}
		// A group does nothing well but show its help.
		if l.good && (!isGroup(command) || strings.Contains(l.where, "--help")) {
			good[command] = true
		} else if !l.good {
			bad[command] = true
		}
	}
	for _, command := range everyCommand(root) {
		if !good[command] && !isGroup(command) {
			t.Errorf("no script runs %q well", command.CommandPath())
		}
		if !bad[command] {
			t.Errorf("no script runs %q badly", command.CommandPath())
		}
	}
}

func isGroup(command *cobra.Command) bool { return len(shownBelow(command)) > 0 }
