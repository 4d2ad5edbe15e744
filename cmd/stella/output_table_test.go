package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func laidOut(width int, rows ...[]string) string {
	var out strings.Builder
	if err := printRows(&out, rows, width); err != nil {
		return err.Error()
	}
	return out.String()
}

// Columns stand below each other, also with characters that are wide or have no width.
func TestColumns(t *testing.T) {
	require.Equal(t, "NAME    N\na       1\n日本    2\ne\u0301\u0301\u0301       3\n\\x1bx   4\n\U0001f600      5\nmore: --cursor x\n", laidOut(0,
		[]string{"NAME", "N"}, []string{"a", "1"}, []string{"日本", "2"}, []string{"e\u0301\u0301\u0301", "3"}, []string{"\x1bx ", "4"}, []string{"\U0001f600", "5"}, []string{"more: --cursor x"}))
	require.Equal(t, "a  b\nlong enough\n", laidOut(0, []string{"a", "b"}, []string{"long enough"}), "a remark makes no column wider")
	require.Equal(t, "a\n", laidOut(0, []string{"a", ""}), "nothing stands at the end of a line")
	require.Empty(t, laidOut(80))
}

// A table that is wider than the terminal has its rows below each other; nothing is
// cut off. What fits, and what no terminal shows, stays a table.
func TestATableThatIsTooWide(t *testing.T) {
	rows := func() [][]string {
		return [][]string{{"NAME", "DIGEST"}, {"a", strings.Repeat("0", 71)}, {"b", ""}, {"more: --cursor x"}}
	}
	table := "NAME  DIGEST\na     " + strings.Repeat("0", 71) + "\nb\nmore: --cursor x\n"
	require.Equal(t, table, laidOut(0, rows()...))
	require.Equal(t, table, laidOut(77, rows()...))
	require.Equal(t, "NAME    a\nDIGEST  "+strings.Repeat("0", 71)+"\n\nNAME    b\nDIGEST\n\nmore: --cursor x\n", laidOut(76, rows()...))
	require.Equal(t, "digest  "+strings.Repeat("0", 71)+"\n", laidOut(40, []string{"digest", strings.Repeat("0", 71)}), "names and values are so already")
}
