package main

import (
	"io"
	"strings"
	"unicode"
)

// printTable writes rows in columns, or, where these are wider than the terminal, below
// each other. What comes from elsewhere is made printable: a document's name must not
// drive the reader's terminal.
func printTable(out io.Writer, rows [][]string) error {
	return printRows(out, rows, terminalWidth(out))
}

// columnGap is between two columns.
const columnGap = 2

// printRows writes rows for a terminal of a width, 0 = none that is known.
func printRows(out io.Writer, rows [][]string, width int) error {
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
	}
	if width > 0 && hasHeader(rows) && widest(rows) > width {
		rows = stacked(rows)
	}
	var text strings.Builder
	columns := columnsOf(rows)
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", columns[i]-cellWidth(cell)+columnGap))
			}
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// columnsOf is how wide each column must be; the last cell of a row needs no room
// behind it.
func columnsOf(rows [][]string) (columns []int) {
	for _, row := range rows {
		for i := range len(row) - 1 {
			if i == len(columns) {
				columns = append(columns, 0)
			}
			columns[i] = max(columns[i], cellWidth(row[i]))
		}
	}
	return columns
}

// hasHeader reports whether the first row names the columns of those below.
func hasHeader(rows [][]string) bool {
	return len(rows) > 0 && len(rows[0]) > 1 && rows[0][0] != "" && strings.ToUpper(rows[0][0]) == rows[0][0]
}

// widest is the length of the longest line. A row of one cell is a remark, not a part
// of the table.
func widest(rows [][]string) (width int) {
	columns := columnsOf(rows)
	for _, row := range rows {
		if len(row) < 2 {
			continue
		}
		line := cellWidth(row[len(row)-1])
		for i := range len(row) - 1 {
			line += columns[i] + columnGap
		}
		width = max(width, line)
	}
	return width
}

// stacked gives each row as lines of name and value, with an empty line between rows.
func stacked(rows [][]string) (lines [][]string) {
	for _, row := range rows[1:] {
		if len(lines) > 0 {
			lines = append(lines, nil)
		}
		if len(row) == 1 {
			lines = append(lines, row)
			continue
		}
		for i, cell := range row {
			lines = append(lines, []string{rows[0][i], cell})
		}
	}
	return lines
}

// cellWidth is how many columns a terminal gives a text: none for marks that stand on
// the character before, two for those of East Asia and for pictures (Unicode Standard
// Annex 11, by blocks).
func cellWidth(text string) (width int) {
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff ||
			r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0xffe0 && r <= 0xffe6 || r >= 0x1f300 && r <= 0x1faff || r >= 0x20000 && r <= 0x3fffd):
			width += 2
		default:
			width++
		}
	}
	return width
}
