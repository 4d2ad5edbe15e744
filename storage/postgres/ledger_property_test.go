package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
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
	removals  []ledger.Removal
	importers [][]parcel
}

// parcel is what an importer brings at once: documents, or that some are gone.
type parcel struct {
	documents []ledger.Observation
	removals  []ledger.Removal
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
		var parcels []parcel
		for batch := range slices.Chunk(mine, 1+rng.IntN(40)) {
			parcels = append(parcels, parcel{documents: batch})
		}
		w.importers = append(w.importers, parcels)
	}
	// The first also brings everything once more, so that all of it is there.
	w.importers[0] = append(w.importers[0], parcel{documents: w.revisions})
	return w
}

// removing lets the importers also say that some documents are gone, at times
// before, between, at and after those of the revisions, and some of it twice.
// What comes before its document is refused (docs/decisions/0019): with again, the first
// says all of it once more when everything is there; without, each is said once.
func (w evidence) removing(rng *rand.Rand, again bool) evidence {
	for _, o := range greatestOf(w.revisions) {
		for range rng.IntN(3) {
			at := time.Date(2025, 12, 31, 12*rng.IntN(9), 0, 0, 0, time.UTC)
			w.removals = append(w.removals, ledger.Removal{Identity: o.Identity(), Time: at, Reason: "withdrawn", By: "tester"})
		}
	}
	if !again {
		for _, r := range w.removals {
			mine := &w.importers[rng.IntN(len(w.importers))]
			*mine = slices.Insert(*mine, rng.IntN(2)*rng.IntN(len(*mine)), parcel{removals: []ledger.Removal{r}})
		}
		return w
	}
	for i := range w.importers {
		for range len(w.importers[i]) {
			var some []ledger.Removal
			for range rng.IntN(12) {
				some = append(some, w.removals[rng.IntN(len(w.removals))])
			}
			at := rng.IntN(len(w.importers[i]))
			w.importers[i] = slices.Insert(w.importers[i], at, parcel{removals: some})
		}
	}
	w.importers[0] = append(w.importers[0], parcel{removals: w.removals})
	return w
}

// left are the revisions of documents that no removal among removals hides.
func left(revisions []ledger.Observation, removals []ledger.Removal) (visible []ledger.Observation) {
	gone := map[ledger.Identity]string{}
	for _, r := range removals {
		id := r.Identity
		id.Project = ledger.ProjectName(id.Project)
		gone[id] = max(gone[id], r.Modified())
	}
	for id, o := range greatestOf(revisions) {
		if at, removed := gone[id]; !removed || o.Modified > at {
			visible = append(visible, o)
		}
	}
	return visible
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

// TestArrivalLeavesNoTrace: which documents are current follows from what was brought and
// from nothing else, with one exception: a removal that came before the first revision of
// its document, and was refused as absent, holds only when it is said again. In the last
// rounds it is not, and nothing but documents of such removals may be other than the model.
func TestArrivalLeavesNoTrace(t *testing.T) {
	rng := seeded(t)
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	for round := range 6 {
		t.Run(fmt.Sprintf("round %d", round), func(t *testing.T) {
			tenant := fmt.Sprintf("t%d", round)
			w := randomEvidence(rng, 60, 4)
			if round > 0 {
				w = w.removing(rng, round < 4)
			}
			seen, counts, removed, refused := importTogether(t, store, tenant, w)
			checkSequences(t, store, tenant, w, counts, removed)
			if round < 4 {
				refused = nil // they were said again
			}
			checkOutcome(t, store, tenant, w, refused)
			checkOvertaken(t, db, tenant)
			checkTouched(t, store, tenant, rng)
			for seq, rows := range seen {
				require.Equal(t, rows, current(t, store, tenant, seq, export.Selectors{}), "as of %d", seq)
			}
		})
	}
}

// importTogether runs all importers at once, and readers beside them that read
// as of the head twice. It gives what was read by sequence, the counts, and the removals
// that were refused because their document was not there yet.
func importTogether(t *testing.T, store ledger.Store, tenant string, w evidence) (map[int64][]ledger.Row, ledger.Counts, ledger.RemovalCounts, []ledger.Removal) {
	t.Helper()
	importers, ctx := errgroup.WithContext(t.Context())
	var mutex sync.Mutex
	var counts ledger.Counts
	var removed ledger.RemovalCounts
	var refused []ledger.Removal
	for _, parcels := range w.importers {
		importers.Go(func() error {
			for _, p := range parcels {
				c, err := store.Import(ctx, tenant, p.documents)
				if err != nil {
					return err
				}
				r, err := store.Remove(ctx, tenant, p.removals)
				if err != nil {
					return err
				}
				mutex.Lock()
				counts.Add(c)
				removed.Add(r)
				for _, i := range r.Missing {
					refused = append(refused, p.removals[i])
				}
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
	t.Logf("%d revisions, %d entries, removals %+v, read as of %d sequences meanwhile", len(w.revisions), counts.Read, removed, len(seen))
	return seen, counts, removed, refused
}

// checkSequences: numbers are dense, each revision and each removal that was
// recorded has one, counts add up, and the current documents as of any number
// are the model's.
func checkSequences(t *testing.T, store ledger.Store, tenant string, w evidence, counts ledger.Counts, removed ledger.RemovalCounts) {
	t.Helper()
	n := int64(len(w.revisions))
	head, err := store.Head(t.Context(), tenant)
	require.NoError(t, err)
	require.Equal(t, n+removed.Removed, head)
	require.Equal(t, n, counts.Accepted+counts.Superseded)
	require.Equal(t, counts.Read, counts.Accepted+counts.Superseded+counts.Unchanged)
	require.Equal(t, removed.Read, removed.Removed+removed.Unchanged+removed.Superseded+removed.Absent)

	removals, err := postgres.Removals(t.Context(), store, tenant)
	require.NoError(t, err)
	require.Len(t, removals, int(removed.Removed))
	var seqs []int64
	for seq := int64(1); seq <= head; seq++ {
		if _, removal := removals[seq]; !removal {
			seqs = append(seqs, seq)
		}
	}
	byDigest, arrived := map[bundle.Digest]ledger.Observation{}, map[int64]ledger.Observation{}
	for _, o := range w.revisions {
		byDigest[o.Digest] = o
	}
	places, err := postgres.Places(t.Context(), store, tenant, seqs)
	require.NoError(t, err)
	require.NoError(t, store.Lines(t.Context(), tenant, places, func(l ledger.Line) error {
		arrived[seqs[len(arrived)]] = byDigest[l.Digest]
		return nil
	}))
	accepted := int64(0)
	var revisions []ledger.Observation
	var gone []ledger.Removal
	for seq := int64(0); seq <= head; seq++ {
		if r, removal := removals[seq]; removal {
			gone = append(gone, r)
		} else if o, revision := arrived[seq]; revision {
			revisions = append(revisions, o)
			if slices.ContainsFunc(left(revisions, gone), func(v ledger.Observation) bool { return v.Digest == o.Digest }) {
				accepted++
			}
		}
		if seq%(1+head/10) == 0 || seq == head {
			require.Equal(t, currentOf(left(revisions, gone)), digests(current(t, store, tenant, seq, export.Selectors{})), "as of %d", seq)
		}
	}
	require.Equal(t, accepted, counts.Accepted, "accepted are those that were current when they were recorded")
}

// checkOutcome: in the end that is current which the model says, whatever came first; but
// a document of which a removal was refused may still be there. It need not be: another
// removal of it may have come later.
func checkOutcome(t *testing.T, store ledger.Store, tenant string, w evidence, refused []ledger.Removal) {
	t.Helper()
	head, err := store.Head(t.Context(), tenant)
	require.NoError(t, err)
	model, found := currentOf(left(w.revisions, w.removals)), digests(current(t, store, tenant, head, export.Selectors{}))
	all := currentOf(w.revisions)
	excepted := 0
	for _, r := range refused {
		for key, digest := range all {
			if _, hidden := model[key]; !hidden && found[key] == digest && strings.Contains(key, r.UpstreamID) {
				delete(found, key)
				excepted++
			}
		}
	}
	require.Equal(t, model, found, "whatever came first")
	t.Logf("%d removals were refused as absent, %d documents are there for it", len(refused), excepted)
}

// checkTouched: between two moments nothing changes but under the keys that are named.
func checkTouched(t *testing.T, store ledger.Store, tenant string, rng *rand.Rand) {
	t.Helper()
	head, err := store.Head(t.Context(), tenant)
	require.NoError(t, err)
	for range 20 {
		seq := rng.Int64N(head + 1)
		after := rng.Int64N(seq + 1)
		keys, all, err := store.Touched(t.Context(), tenant, "", after, seq, 10_000)
		require.NoError(t, err)
		require.True(t, all)
		before, now := digests(current(t, store, tenant, after, export.Selectors{})), digests(current(t, store, tenant, seq, export.Selectors{}))
		for _, key := range keys {
			delete(before, key)
			delete(now, key)
		}
		require.Equal(t, before, now, "from %d to %d", after, seq)
	}
}

// checkOvertaken: what the ledger says of who overtook whom is what follows from
// the revisions and the removals.
func checkOvertaken(t *testing.T, db *pgtest.Database, tenant string) {
	t.Helper()
	require.NoError(t, postgres.NewSurvey(db.DB).Overtaken(t.Context(), tenant, func(r storage.OvertakenRecord) error {
		return fmt.Errorf("%+v", r)
	}))
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
