package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

func (b *bench) noteSpread(runs []exported, floors []time.Duration) {
	walls := make([]time.Duration, len(runs))
	for i, r := range runs {
		walls[i] = r.wall
	}
	b.note("export runs: %s s; floors: %s s", list(walls), list(floors))
}

// notePhases tells where the time of a run went, by the events of its journal.
func (b *bench) notePhases(ctx context.Context, run exported) error {
	conn, err := b.house.connect(ctx, "exportcenter")
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // only read
	rows, err := conn.Query(ctx, `
		select event_type, extract(epoch from at - lag(at) over (order by seq))::float8 from export_events
		where run_id = $1 and event_type not in ('run.pending', 'adapter.chunk', 'run.progress') order by seq`, run.id)
	if err != nil {
		return fmt.Errorf("read the phases: %w", err)
	}
	defer rows.Close()
	phases := []string{fmt.Sprintf("run.started +%.3f", run.start.Seconds())}
	for rows.Next() {
		var name string
		var took *float64
		if err := rows.Scan(&name, &took); err != nil {
			return fmt.Errorf("read the phases: %w", err)
		}
		if took != nil {
			phases = append(phases, fmt.Sprintf("%s +%.3f", name, *took))
		}
	}
	b.note("the export's journal (s): %s", strings.Join(phases, ", "))
	return rows.Err()
}

// print writes the machine, the table and where the processor time went.
func (b *bench) print(w io.Writer, machine string) error {
	fmt.Fprintf(w, "%s\n%d documents (%s): %.1f MB as imported, %.1f MB canonical, %.1f MB as lines of the bundle\n\n", machine,
		b.docs.count, b.docs.origin, float64(b.docs.bytes)/1e6, float64(b.first.bytes)/1e6, float64(b.lineBytes)/1e6)
	if err := errors.Join(printRows(w, b.rows), printParts(w, b.rows, b.docs.count)); err != nil {
		return err
	}
	for _, note := range b.notes {
		if _, err := fmt.Fprintf(w, "\n%s\n", note); err != nil {
			return err
		}
	}
	return nil
}

// printRows writes the rows with their limits.
func printRows(w io.Writer, rows []row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "row\twall s\tcpu s\trss MB\tfloor s\tratio\t% of full\tvalue\tlimit\t")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Row, duration(r.Wall), optional(r.CPU, 2),
			optional(r.RSS, 1), duration(r.FloorWall), optional(r.Ratio, 3), optional(r.PercentOfFull, 1),
			strings.TrimSpace(optional(r.Value, -1)+" "+r.Unit), r.verdict())
	}
	return table.Flush()
}

// printParts splits the processor time, as it was and per million documents
// where a step has to do with all of them.
func printParts(w io.Writer, rows []row, documents int) error {
	names := append(slices.Clone(parts), "up", "client")
	for _, per := range []struct {
		title string
		scale float64
		shown func(row) bool
	}{
		{"cpu s of", 1, func(r row) bool { return r.Parts != nil }},
		{"cpu s per million documents", 1e6 / float64(documents), passesOverAll},
	} {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(table, "\n%s\t%s\t\n", per.title, strings.Join(names, "\t"))
		for _, r := range rows {
			if !per.shown(r) {
				continue
			}
			fmt.Fprintf(table, "%s\t", r.Row)
			for _, name := range names {
				fmt.Fprintf(table, "%.2f\t", r.Parts[name]*per.scale)
			}
			fmt.Fprintln(table)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// passesOverAll: the step's work grows with the number of documents.
func passesOverAll(r row) bool {
	return r.Parts != nil && !strings.HasPrefix(r.Row, "smallest run") && r.Row != "download, first byte"
}

// optional writes a number with so many digits behind the point, all it needs
// for -1, and "-" where there is none.
func optional(v *float64, digits int) string {
	if v == nil {
		return "-"
	}
	return strconv.FormatFloat(*v, 'f', digits, 64)
}

// duration writes seconds, short ones with more digits.
func duration(v *float64) string {
	if v != nil && *v < 0.1 {
		return optional(v, 5)
	}
	return optional(v, 3)
}

func writeJSON(path string, rows []row) error {
	raw, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

// describeMachine says what the figures were taken on. The load average is
// read before the bench adds its own.
func describeMachine() string {
	load, _ := os.ReadFile("/proc/loadavg") // without it the line says nothing
	return fmt.Sprintf("%d cores (%s), %s memory, Go %s, load average before: %s", runtime.NumCPU(),
		procField("/proc/cpuinfo", "model name"), procField("/proc/meminfo", "MemTotal"),
		strings.TrimPrefix(runtime.Version(), "go"), strings.Join(strings.Fields(string(load))[:min(3, len(strings.Fields(string(load))))], " "))
}

func procField(path, name string) string {
	raw, _ := os.ReadFile(path) // what is not there is "unknown"
	for line := range strings.Lines(string(raw)) {
		if field, value, _ := strings.Cut(line, ":"); strings.TrimSpace(field) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
