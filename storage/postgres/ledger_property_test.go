package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// seeded gives the test's random source. SEED=n repeats a run.
func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// evidence is a set of documents with several revisions each, some of them
// modified at the same time, and the batches in which importers bring them.
type evidence struct {
	revisions []ledger.Observation
	importers [][][]ledger.Observation
}

func randomEvidence(rng *rand.Rand, documents, importers int) evidence {
	var w evidence
	for d := range documents {
		for r := range 1 + rng.IntN(5) {
			modified := time.Date(2026, 1, 1+rng.IntN(3), 0, 0, 0, 0, time.UTC).Format(ledger.ModifiedLayout)
			if rng.IntN(6) == 0 {
				modified = ""
			}
			o := document(fmt.Sprintf("s%d", d%3), fmt.Sprintf("D-%03d", d), modified, fmt.Sprintf("revision %d", r))
			if rng.IntN(3) == 0 {
				o.Subject = "pkg:npm/another"
				o.Products = []string{o.Subject}
			}
			w.revisions = append(w.revisions, o)
		}
	}
	for range importers {
		// Each brings most of the revisions, some twice, in its own order.
		var mine []ledger.Observation
		for _, o := range w.revisions {
			for range rng.IntN(3) {
				mine = append(mine, o)
			}
		}
		rng.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
		w.importers = append(w.importers, slices.Collect(slices.Chunk(mine, 1+rng.IntN(40))))
	}
	// The first also brings everything once more, so that all of it is there.
	w.importers[0] = append(w.importers[0], w.revisions)
	return w
}

// currentOf is the model: the greatest revision of each document, by key.
func currentOf(revisions []ledger.Observation) map[string]bundle.Digest {
	model := map[string]bundle.Digest{}
	for _, o := range greatestOf(revisions) {
		model[rowOf(o).Key()] = o.Digest
	}
	return model
}

func rowOf(o ledger.Observation) ledger.Row {
	return ledger.Row{Kind: o.Kind, Subject: o.Subject, UpstreamID: o.UpstreamID, Source: o.Source, Stream: o.Stream}
}

func TestArrivalLeavesNoTrace(t *testing.T) {
	rng := seeded(t)
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	for round := range 4 {
		t.Run(fmt.Sprintf("round %d", round), func(t *testing.T) {
			tenant := fmt.Sprintf("t%d", round)
			w := randomEvidence(rng, 60, 4)
			seen, counts := importTogether(t, store, tenant, w)
			checkSequences(t, store, tenant, w, counts)
			for seq, rows := range seen {
				require.Equal(t, rows, current(t, store, tenant, seq, export.Selectors{}), "as of %d", seq)
			}
		})
	}
}

// importTogether runs all importers at once, and readers beside them that read
// as of the head twice. It gives what was read by sequence, and the counts.
func importTogether(t *testing.T, store ledger.Store, tenant string, w evidence) (map[int64][]ledger.Row, ledger.Counts) {
	t.Helper()
	importers, ctx := errgroup.WithContext(t.Context())
	var mutex sync.Mutex
	var counts ledger.Counts
	for _, batches := range w.importers {
		importers.Go(func() error {
			for _, batch := range batches {
				c, err := store.Import(ctx, tenant, batch)
				if err != nil {
					return err
				}
				mutex.Lock()
				counts.Add(c)
				mutex.Unlock()
			}
			return nil
		})
	}
	done, stop := context.WithCancel(t.Context())
	seen := map[int64][]ledger.Row{}
	var readers errgroup.Group
	for range 2 {
		readers.Go(func() error {
			for done.Err() == nil {
				seq, err := store.Head(t.Context(), tenant)
				if err != nil {
					return err
				}
				first, err := listCurrent(t.Context(), store, tenant, seq, export.Selectors{})
				if err != nil {
					return err
				}
				second, err := listCurrent(t.Context(), store, tenant, seq, export.Selectors{})
				if err != nil {
					return err
				}
				if !slices.Equal(first, second) {
					return fmt.Errorf("two reads as of %d differ", seq)
				}
				mutex.Lock()
				seen[seq] = first
				mutex.Unlock()
			}
			return nil
		})
	}
	importErr := importers.Wait()
	stop()
	require.NoError(t, readers.Wait())
	require.NoError(t, importErr)
	t.Logf("%d revisions, %d entries, read as of %d sequences meanwhile", len(w.revisions), counts.Read, len(seen))
	return seen, counts
}

// checkSequences: numbers are dense, each revision has one, counts add up, and
// the current documents as of any number are the model's.
func checkSequences(t *testing.T, store ledger.Store, tenant string, w evidence, counts ledger.Counts) {
	t.Helper()
	n := int64(len(w.revisions))
	head, err := store.Head(t.Context(), tenant)
	require.NoError(t, err)
	require.Equal(t, n, head)
	require.Equal(t, n, counts.Accepted+counts.Superseded)
	require.Equal(t, counts.Read, counts.Accepted+counts.Superseded+counts.Unchanged)

	seqs := make([]int64, n)
	for i := range seqs {
		seqs[i] = int64(i) + 1
	}
	byDigest := map[bundle.Digest]ledger.Observation{}
	for _, o := range w.revisions {
		byDigest[o.Digest] = o
	}
	var arrived []ledger.Observation
	places, err := postgres.Places(t.Context(), store, tenant, seqs)
	require.NoError(t, err)
	require.NoError(t, store.Lines(t.Context(), tenant, places, func(l ledger.Line) error {
		arrived = append(arrived, byDigest[l.Digest])
		return nil
	}))
	accepted := int64(0)
	best := map[ledger.Identity]ledger.Observation{}
	for _, o := range arrived {
		if b, ok := best[o.Identity()]; !ok || ledger.Greater(o, b) {
			best[o.Identity()] = o
			accepted++
		}
	}
	require.Equal(t, accepted, counts.Accepted, "accepted are those that were current when they were recorded")
	require.Len(t, currentOf(w.revisions), len(best))
	for seq := int64(0); seq <= n; seq += 1 + n/10 {
		require.Equal(t, currentOf(arrived[:seq]), digests(current(t, store, tenant, seq, export.Selectors{})), "as of %d", seq)
	}
	require.Equal(t, currentOf(w.revisions), digests(current(t, store, tenant, n, export.Selectors{})))
}

func digests(rows []ledger.Row) map[string]bundle.Digest {
	m := map[string]bundle.Digest{}
	for _, r := range rows {
		m[r.Key()] = r.Digest
	}
	return m
}

// Two importers of the same new documents in opposite order, again and again:
// without the order of digests this deadlocks.
func TestOppositeImportersDoNotDeadlock(t *testing.T) {
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	for round := range 10 {
		var forward []ledger.Observation
		for d := range 200 {
			forward = append(forward, document("s", fmt.Sprintf("R%d-%d", round, d), someTime, "x"))
		}
		backward := slices.Clone(forward)
		slices.Reverse(backward)
		var both errgroup.Group
		for _, batch := range [][]ledger.Observation{forward, backward} {
			both.Go(func() error { _, err := store.Import(t.Context(), "acme", batch); return err })
		}
		require.NoError(t, both.Wait())
	}
	var deadlocks int
	require.NoError(t, connect(t, db.Admin).QueryRow(t.Context(),
		"select sum(deadlocks) from pg_stat_database where datname = current_database()").Scan(&deadlocks))
	require.Zero(t, deadlocks)
}
