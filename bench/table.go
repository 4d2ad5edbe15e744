package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of the table and of build/bench.json. What could not be
// measured or has no floor is null.
type row struct {
	Row       string   `json:"row"`
	Wall      float64  `json:"wall_s"`
	CPU       float64  `json:"cpu_s"`
	RSS       float64  `json:"rss_mb"`
	FloorWall *float64 `json:"floor_wall_s"`
	Ratio     *float64 `json:"ratio"`

	parts map[string]time.Duration
}

func (b *bench) add(name string, m measure, floor *time.Duration) {
	r := row{Row: name, Wall: seconds(m.wall), RSS: round(float64(m.rss)/1e6, 1), parts: m.cpu}
	var cpu time.Duration
	for _, d := range m.cpu {
		cpu += d
	}
	r.CPU = seconds(cpu)
	if floor != nil {
		wall, ratio := seconds(*floor), round(m.wall.Seconds()/floor.Seconds(), 2)
		r.FloorWall, r.Ratio = &wall, &ratio
	}
	b.rows = append(b.rows, r)
}

func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

func (b *bench) noteSpread(runs []exported, floors []time.Duration) {
	text := "export runs:"
	for _, r := range runs {
		text += fmt.Sprintf(" %.2f", r.wall.Seconds())
	}
	text += " s; floors:"
	for _, f := range floors {
		text += fmt.Sprintf(" %.2f", f.Seconds())
	}
	b.note("%s s", text)
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
		where run_id = $1 and event_type not in ('run.pending', 'adapter.chunk') order by seq`, run.id)
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
	fmt.Fprintf(w, "%s\n%d documents, %.1f MB (%s)\n\n", machine, b.docs.count, float64(b.docs.bytes)/1e6, b.docs.origin)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "row\twall s\tcpu s\trss MB\tfloor s\tratio\t")
	for _, r := range b.rows {
		fmt.Fprintf(table, "%s\t%.3f\t%.2f\t%.1f\t%s\t%s\t\n", r.Row, r.Wall, r.CPU, r.RSS, optional(r.FloorWall), optional(r.Ratio))
	}
	fmt.Fprintln(table)
	names := append(slices.Clone(parts), "up", "client")
	fmt.Fprintf(table, "cpu s of\t%s\t\n", strings.Join(names, "\t"))
	for _, r := range b.rows {
		fmt.Fprintf(table, "%s\t", r.Row)
		for _, name := range names {
			fmt.Fprintf(table, "%.2f\t", r.parts[name].Seconds())
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, note := range b.notes {
		if _, err := fmt.Fprintf(w, "\n%s\n", note); err != nil {
			return err
		}
	}
	return nil
}

func optional(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", *v)
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

func seconds(d time.Duration) float64 { return round(d.Seconds(), 3) }

func round(v float64, digits int) float64 {
	scale := math.Pow(10, float64(digits))
	return math.Round(v*scale) / scale
}
