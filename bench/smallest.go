package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/osv"
)

// smallRuns is how often the smallest run is made.
const smallRuns = 20

// smallest measures runs that select one document, in a ledger that has no
// other and among all documents, each beside a workflow that does nothing.
func (b *bench) smallest(ctx context.Context) error {
	one, err := writeOne(b.dir, b.docs.sample)
	if err != nil {
		return err
	}
	other, err := b.house.token(ctx, "smallest")
	if err != nil {
		return err
	}
	selected, words := one.selectors()
	b.note("the smallest run selects by %s", words)
	floor, err := startBare(b.temporal, b.now)
	if err != nil {
		return err
	}
	defer floor.stop()
	for _, in := range []struct{ row, token, tenant string }{
		{"smallest run, empty ledger", other, "smallest"},
		{"smallest run, among all", b.house.env["STELLA_TOKEN"], tenant},
	} {
		if _, _, err := b.importFile(ctx, in.token, one.path, 1, "--source", one.source); err != nil {
			return err
		}
		if err := b.smallestIn(ctx, in.row, in.token, in.tenant, selected, floor); err != nil {
			return fmt.Errorf("%s: %w", in.row, err)
		}
	}
	return nil
}

// smallestIn makes the runs of one ledger. The first of them says how many
// activities the floor has to have; it is not counted, and neither is the
// floor's first, which waits for a worker to be found.
func (b *bench) smallestIn(ctx context.Context, name, token, tenant string, selected client.Selectors, floor *bare) error {
	warm, err := b.export(ctx, token, selected, 1)
	if err != nil {
		return err
	}
	size, err := b.historyOf(ctx, tenant, warm.id)
	if err != nil {
		return err
	}
	if _, err := floor.run(ctx, size.activities); err != nil {
		return err
	}
	var runs []exported
	var floors []time.Duration
	for range smallRuns {
		took, err := floor.run(ctx, size.activities)
		if err != nil {
			return err
		}
		floors = append(floors, took)
		run, err := b.export(ctx, token, selected, 1)
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	b.add(measuredRow(name, middle(runs).measure).beside(median(floors)))
	b.note("%s: %d activities, %d events", name, size.activities, size.events)
	return nil
}

// single is a document that shares its source and its product with no other.
type single struct{ path, source, product string }

// writeOne writes a document of our own samples, as a replica that no number
// of documents reaches.
func writeOne(dir, sample string) (single, error) {
	paths, _ := filepath.Glob(filepath.Join(sample, "*.json")) // only a bad pattern fails
	if len(paths) == 0 {
		return single{}, fmt.Errorf("no advisories in %s", sample)
	}
	originals, err := readSamples(paths[:1])
	if err != nil {
		return single{}, err
	}
	line := originals[0].replica(999_999_999)
	read, err := osv.Parse(ledger.Entry{Bytes: line})
	if err != nil {
		return single{}, err
	}
	if read.Subject == "" {
		return single{}, fmt.Errorf("%s names no product", paths[0])
	}
	one := single{path: filepath.Join(dir, "smallest.json"), source: "smallest", product: read.Subject}
	return one, os.WriteFile(one.path, line, 0o600)
}

// selectors select the document by its product, or by its source as long as
// the API has no word for products; words says which.
func (s single) selectors() (selected client.Selectors, words string) {
	raw, _ := json.Marshal(map[string][]string{"products": {s.product}}) // texts always have a JSON form
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&selected); err == nil {
		return selected, "product " + s.product
	}
	return client.Selectors{Sources: []string{s.source}}, "source, because this release does not select by product"
}
