package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// block is a fenced part of the tutorial: commands, or what they print.
type block struct {
	language, text string
	line           int
}

// TestTutorial runs the commands of docs/tutorial.md as a newcomer would, in an
// empty directory, and holds what they print against what the page shows. It begins
// in another directory than the newcomer, so the block "setup" is its own.
func TestTutorial(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	page, err := os.ReadFile(filepath.Join(repository, "docs", "tutorial.md"))
	require.NoError(t, err)
	h := openHouse(t)
	dir := t.TempDir()
	setup := ". " + filepath.Join(h.dir, "env") + "\nexport PATH=" + filepath.Dir(program(t, "stella")) + ":$PATH\n"

	var said string
	commands, compared := 0, 0
	for _, b := range blocksOf(string(page)) {
		switch b.language {
		case "sh":
			commands++
			bash := exec.Command("bash", "-c", "set -euo pipefail\n"+setup+variables(dir)+b.text+"\ndeclare -p RUN 2>/dev/null > .variables || true\n")
			bash.Dir = dir
			out, err := bash.CombinedOutput()
			require.NoError(t, err, "line %d:\n%s\n%s", b.line, b.text, out)
			said = string(out)
		case "text":
			for line := range strings.Lines(b.text) {
				compared++
				require.Regexp(t, shown(strings.TrimSpace(line)), said, "line %d", b.line)
			}
		}
	}
	require.Greater(t, commands, 8)
	require.Greater(t, compared, 12)
}

// variables are what an earlier block has set.
func variables(dir string) string {
	raw, err := os.ReadFile(filepath.Join(dir, ".variables"))
	if err != nil {
		return ""
	}
	return string(raw)
}

// shown is a line of the page as a pattern: … is anything, white space any.
func shown(line string) *regexp.Regexp {
	var parts []string
	for _, part := range strings.Split(line, "…") {
		var words []string
		for _, word := range strings.Fields(part) {
			words = append(words, regexp.QuoteMeta(word))
		}
		parts = append(parts, strings.Join(words, `\s+`))
	}
	return regexp.MustCompile(`(?m)` + strings.Join(parts, `.*`))
}

func blocksOf(page string) (blocks []block) {
	var current *block
	number := 0
	for line := range strings.Lines(page) {
		number++
		language, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && current == nil:
			current = &block{language: language, line: number}
		case fence:
			blocks = append(blocks, *current)
			current = nil
		case current != nil:
			current.text += line
		}
	}
	return blocks
}
