package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/stella-ops/exportcenter/client"
)

// diffReport gathers what changed. Changes wait in a file, written as they will be
// printed, because the summary comes before them and there may be a million.
type diffReport struct {
	format *format
	head   diffHead
	file   *os.File
	out    *bufio.Writer
	count  int
}

// diffHead is what a program reads before the changes.
type diffHead struct {
	From       client.ComparedRun `json:"from"`
	To         client.ComparedRun `json:"to"`
	ShardsSame int                `json:"shardsSame"`
	Summary    diffSummary        `json:"summary"`
}

// diffSummary counts documents.
type diffSummary struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Changed int `json:"changed"`
	// What counts the changed ones by what of them changed; one document may count
	// more than once.
	What map[string]int `json:"what"`
	// Kinds have [added, removed, changed].
	Kinds map[string]*diffCounts `json:"kinds"`
}

type diffCounts struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Changed int `json:"changed"`
}

func (s diffSummary) documents() int { return s.Added + s.Removed + s.Changed }

func newDiffReport(f *format) (*diffReport, error) {
	file, err := os.CreateTemp("", "stella-diff-*")
	if err != nil {
		return nil, fmt.Errorf("keep what changed until it is counted: %w", err)
	}
	return &diffReport{format: f, file: file, out: bufio.NewWriter(file),
		head: diffHead{Summary: diffSummary{What: map[string]int{}, Kinds: map[string]*diffCounts{}}}}, nil
}

func (r *diffReport) discard() {
	r.file.Close()
	os.Remove(r.file.Name())
}

// add takes a page.
func (r *diffReport) add(page client.RunDiff) error {
	r.head.From, r.head.To, r.head.ShardsSame = page.From, page.To, page.ShardsSame
	for _, change := range page.Changes {
		r.head.Summary.add(change)
		if err := r.write(change); err != nil {
			return fmt.Errorf("keep what changed until it is counted: %w", err)
		}
		r.count++
	}
	return nil
}

func (s *diffSummary) add(c client.DocumentChange) {
	kind := s.Kinds[c.Kind]
	if kind == nil {
		kind = &diffCounts{}
		s.Kinds[c.Kind] = kind
	}
	switch c.Change {
	case client.DocumentChangeChangeAdded:
		s.Added++
		kind.Added++
	case client.DocumentChangeChangeRemoved:
		s.Removed++
		kind.Removed++
	default:
		s.Changed++
		kind.Changed++
	}
	for _, what := range c.What {
		s.What[string(what)]++
	}
}

// write writes a change as it will be printed.
func (r *diffReport) write(c client.DocumentChange) error {
	switch {
	case r.format.yaml():
		return printYAML(r.out, []client.DocumentChange{c})
	case r.format.json():
		text, err := jsonText(c, "  ")
		if err != nil {
			return err
		}
		before := "\n    "
		if r.count > 0 {
			before = ",\n    "
		}
		_, err = r.out.WriteString(before + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    "))
		return err
	}
	_, err := r.out.WriteString(printable(changeLine(c)) + "\n")
	return err
}

// print prints the summary, and then the changes.
func (r *diffReport) print(out io.Writer) error {
	if err := r.out.Flush(); err != nil {
		return fmt.Errorf("keep what changed until it is counted: %w", err)
	}
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read what changed: %w", err)
	}
	before, after, err := r.frame()
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, before)
	if err == nil {
		_, err = io.Copy(out, r.file)
	}
	if err == nil {
		_, err = io.WriteString(out, after)
	}
	return errors.Join(err)
}

// frame is what stands before and after the changes.
func (r *diffReport) frame() (before, after string, err error) {
	var text strings.Builder
	switch {
	case r.format.yaml():
		if err := printYAML(&text, r.head); err != nil {
			return "", "", err
		}
		if r.count == 0 {
			return text.String() + "changes: []\n", "", nil
		}
		return text.String() + "changes:\n", "", nil
	case r.format.json():
		head, err := jsonText(r.head, "  ")
		if err != nil {
			return "", "", err
		}
		before, after = strings.TrimSuffix(head, "\n}\n")+",\n  \"changes\": [", "\n  ]\n}\n"
		if r.count == 0 {
			after = "]\n}\n"
		}
		return before, after, nil
	}
	if err := printTable(&text, r.head.rows()); err != nil {
		return "", "", err
	}
	if r.count > 0 {
		text.WriteString("\n")
	}
	return text.String(), "", nil
}

// rows are the summary for a person.
func (h diffHead) rows() [][]string {
	number := strconv.Itoa
	run := func(name string, of client.ComparedRun) []string {
		return []string{name, fmt.Sprintf("%s (%s:%s as of %d)", of.RunID, of.Profile.Kind, of.Profile.Variant, of.AsOf)}
	}
	rows := [][]string{run("from", h.From), run("to", h.To),
		{"not read", fmt.Sprintf("%d of %d shards, which both have", h.ShardsSame, max(h.From.Shards, h.To.Shards))}}
	for _, kind := range sortedKeys(h.Summary.Kinds) {
		n := h.Summary.Kinds[kind]
		rows = append(rows, []string{kind, fmt.Sprintf("%d added, %d removed, %d changed", n.Added, n.Removed, n.Changed)})
	}
	if h.Summary.documents() == 0 {
		return append(rows, []string{"result", "nothing changed"})
	}
	for _, what := range onlyWords {
		if n := h.Summary.What[what]; n > 0 {
			rows = append(rows, []string{"of these " + what, number(n)})
		}
	}
	return rows
}
