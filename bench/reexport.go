package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// changes are what happens between a run and the next, in this order. Each
// touches documents of the state that the one before left.
var changes = []change{
	{row: "re-export, 0.1 % clustered", number: 1, permille: 1, pick: clustered},
	{row: "re-export, 0.1 % scattered", number: 2, permille: 1, pick: scattered},
	{row: "re-export, 1 % clustered", number: 3, permille: 10, pick: clustered},
	{row: "re-export, 1 % scattered", number: 4, permille: 10, pick: scattered},
}

// reexport measures what a run costs after nothing and after little has
// changed. The import of the change is not part of the figure; what it leaves
// PostgreSQL to do is.
func (b *bench) reexport(ctx context.Context) error {
	run, err := b.exportAll(ctx)
	if err != nil {
		return err
	}
	b.add(measuredRow("re-export, nothing changed", run.measure).of(b.full))
	if err := b.checkArchive(ctx, run.id, nil, ""); err != nil {
		return err
	}
	for _, c := range changes {
		if err := b.afterChange(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.row, err)
		}
	}
	return nil
}

// afterChange imports new revisions of some documents, runs, and looks for
// them in the bundle.
func (b *bench) afterChange(ctx context.Context, c change) error {
	lines, err := b.pickLines(ctx, c.pick(b.docs.count, c.documents(b.docs.count), c.number))
	if err != nil {
		return err
	}
	path := filepath.Join(b.dir, fmt.Sprintf("change-%d.jsonl", c.number))
	revised, err := writeRevisions(path, lines, c)
	if err != nil {
		return err
	}
	if _, _, err := b.importFile(ctx, b.house.env["STELLA_TOKEN"], path, len(revised.ids),
		"--source", revised.source, "--stream", revised.stream); err != nil {
		return err
	}
	run, err := b.exportAll(ctx)
	if err != nil {
		return err
	}
	b.add(measuredRow(c.row, run.measure).of(b.full))
	return b.checkArchive(ctx, run.id, revised.ids, c.marker())
}

// pickLines reads lines of the first run's bundle by their place in it.
func (b *bench) pickLines(ctx context.Context, places []int64) ([]string, error) {
	conn, err := b.house.connect(ctx, floorDatabase)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) //nolint:errcheck // only read
	rows, err := conn.Query(ctx, "select line from bench_floor where n = any ($1) order by n", places)
	if err != nil {
		return nil, fmt.Errorf("read lines: %w", err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, fmt.Errorf("read lines: %w", err)
		}
		lines = append(lines, line)
	}
	if rows.Err() == nil && len(lines) != len(places) {
		return nil, fmt.Errorf("found %d of %d lines", len(lines), len(places))
	}
	return lines, rows.Err()
}

// checkArchive downloads and verifies the bundle of a run, counts its lines,
// and finds the marker in the lines of the changed documents and no others.
func (b *bench) checkArchive(ctx context.Context, id string, changed map[string]bool, marker string) error {
	path := filepath.Join(b.dir, "again.tar")
	if _, _, err := b.download(ctx, id, path); err != nil {
		return err
	}
	defer os.Remove(path) //nolint:errcheck // the directory goes as well
	lines, err := openPayload(path)
	if err != nil {
		return err
	}
	defer lines.close()
	if err := checkLines(lines, b.docs.count, changed, marker); err != nil {
		return fmt.Errorf("bundle of run %s: %w", id, err)
	}
	return nil
}
