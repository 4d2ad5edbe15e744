package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// importAll measures the import beside a plain COPY of the same rows. The
// floor comes first: after an import PostgreSQL is still busy with what it
// left, which would make the floor slow and the import look good.
func (b *bench) importAll(ctx context.Context) error {
	var floors []time.Duration
	for b.tools.have("psql") && len(floors) < repeats {
		took, err := b.importFloor(ctx)
		if err != nil {
			return fmt.Errorf("floor: %w", err)
		}
		floors = append(floors, took)
	}
	if err := b.house.execute(ctx, floorDatabase, "drop table bench_import", "checkpoint"); err != nil {
		return err
	}
	m, err := b.measured(ctx, "api", func() (used, error) {
		_, u, err := b.importFile(ctx, b.house.env["STELLA_TOKEN"], b.docs.path, b.docs.count)
		return u, err
	})
	if err != nil {
		return err
	}
	b.note("floors of the import: %s s", list(floors))
	b.add(measuredRow("import", m).beside(median(floors)))
	return nil
}

// importFile imports and checks that every document was accepted.
func (b *bench) importFile(ctx context.Context, token, path string, want int, flags ...string) ([]byte, used, error) {
	out, u, err := b.house.stella(ctx, token, append([]string{"ledger", "import", "--format", "json", path}, flags...)...)
	if err != nil {
		return out, u, err
	}
	var counts struct{ Accepted int }
	if err := json.Unmarshal(out, &counts); err != nil {
		return out, u, fmt.Errorf("stella ledger import answered %.200s: %w", out, err)
	}
	if counts.Accepted != want {
		return out, u, fmt.Errorf("%d documents were accepted, not %d: %.400s", counts.Accepted, want, out)
	}
	return out, u, nil
}
