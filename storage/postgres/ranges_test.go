package postgres_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
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

// 32 ranges at once, each with retries and zombies.
func TestThirtyTwoRangesAtOnce(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	plan := shards(320)
	resolve := w.begin(t, ref, export.PhaseResolve, 1)
	require.NoError(t, w.exec.SavePlan(t.Context(), resolve, digest("plan"), digest("selection"), plan, at(101)))
	done := packed(plan)
	require.NoError(t, w.exec.SaveShards(t.Context(), resolve, digest("recipe"), done[:3], at(102)))
	var g errgroup.Group
	for r := range 32 {
		g.Go(func() error {
			old, _, err := w.exec.BeginPart(t.Context(), ref, export.PhaseAdapt, fmt.Sprint(r*10), 1)
			if err != nil {
				return err
			}
			if err := w.exec.SaveShards(t.Context(), old, digest("recipe"), done[r*10:r*10+5], at(103)); err != nil {
				return err
			}
			newer, _, err := w.exec.BeginPart(t.Context(), ref, export.PhaseAdapt, fmt.Sprint(r*10), 2)
			if err != nil {
				return err
			}
			var both errgroup.Group
			both.Go(func() error {
				return w.exec.SaveShards(t.Context(), newer, digest("recipe"), done[r*10+rand.IntN(5):r*10+10], at(104))
			})
			both.Go(func() error { // the zombie
				if err := w.exec.SaveShards(t.Context(), old, digest("recipe"), done[r*10:r*10+10], at(104)); err == nil {
					return fmt.Errorf("the zombie of %d wrote", r)
				}
				if err := w.exec.PinAll(t.Context(), old, []storage.Sized{{Digest: digest("x"), Size: 1}}); err == nil {
					return fmt.Errorf("the zombie of %d pinned", r)
				}
				return nil
			})
			return both.Wait()
		})
	}
	require.NoError(t, g.Wait())
	run := w.get(t, ref)
	require.Equal(t, export.Progress{Shards: 320, ShardsDone: 320, Records: 3200, RecordsDone: 3200, Bytes: 320000, BytesDone: 320000}, run.Progress)
	n := 0
	for _, e := range w.journal(t, ref) {
		if e.Type == export.EventAdapterComplete {
			n++
		}
	}
	require.Equal(t, 1, n)
	claim, _, err := w.exec.BeginPart(t.Context(), ref, export.PhaseAdapt, "0", 3)
	require.NoError(t, err)
	w.finish(t, ref, aborted(run))
	before := w.fingerprint(t)
	require.ErrorIs(t, w.exec.SaveShards(t.Context(), claim, digest("recipe"), done[:10], at(110)), storage.ErrStale)
	require.ErrorIs(t, w.exec.PinAll(t.Context(), claim, []storage.Sized{{Digest: digest("x"), Size: 1}}), storage.ErrStale)
	require.ErrorIs(t, w.exec.SavePlaces(t.Context(), claim, []storage.ShardPlaces{{Hash: digest("y"), Places: []byte{1}}}), storage.ErrStale)
	require.Equal(t, before, w.fingerprint(t))
}

// One run reuses while another with the same blobs is discarded.
func TestReuseBesideADiscard(t *testing.T) {
	w := newWorld(t)
	for round := range 20 {
		plan := shards(20)
		ref1, ref2 := w.started(t, "acme", 100+2*round).Ref(), w.started(t, "acme", 101+2*round).Ref()
		var blobs []storage.Sized
		for _, s := range packed(plan) {
			blobs = append(blobs, storage.Sized{Digest: s.Result.Digest, Size: s.Result.Size})
		}
		for _, ref := range []export.Ref{ref1, ref2} {
			require.NoError(t, w.exec.SavePlan(t.Context(), w.begin(t, ref, export.PhaseResolve, 1), digest("plan"), digest("selection"), plan, at(101)))
		}
		adapt := w.begin(t, ref1, export.PhaseAdapt, 1)
		require.NoError(t, w.exec.PinAll(t.Context(), adapt, blobs))
		require.NoError(t, w.exec.SaveShards(t.Context(), adapt, digest("recipe"), packed(plan), at(102)))
		w.finish(t, ref1, aborted(w.get(t, ref1)))
		there := map[bundle.Digest]bool{}
		for _, b := range blobs {
			there[b.Digest] = true
		}
		var g errgroup.Group
		var took []storage.Shard
		g.Go(func() error {
			time.Sleep(time.Duration(rand.IntN(6)) * time.Millisecond)
			claim := w.begin(t, ref2, export.PhaseResolve, 2)
			found, err := w.exec.Packed(t.Context(), ref2, digest("recipe"))
			if err != nil {
				return err
			}
			took = found
			return w.exec.PinAll(t.Context(), claim, blobs)
		})
		var erased []bundle.Digest
		g.Go(func() error {
			marked, err := w.exec.DropBlobs(t.Context(), ref1)
			if err != nil {
				return err
			}
			return w.exec.EraseBlobs(t.Context(), ref1, marked, func(d bundle.Digest, _ storage.Still) error { erased = append(erased, d); return nil })
		})
		require.NoError(t, g.Wait())
		if len(erased) != 0 && len(erased) != 20 {
			t.Logf("%d of 20 erased, %d found", len(erased), len(took))
		}
		// every blob is live and pinned by ref2, erased or not
		require.EqualValues(t, 20, value[int](t, w, "acme", "select count(*)::int from blob_pins p join blobs b using (tenant, sha256) where run_id = $1 and state = 'live'", ref2.RunID))
		again, err := w.exec.Packed(t.Context(), ref2, digest("other recipe"))
		require.NoError(t, err)
		require.Empty(t, again)
		w.finish(t, ref2, aborted(w.get(t, ref2)))
		marked, err := w.exec.DropBlobs(t.Context(), ref2)
		require.NoError(t, err)
		require.NoError(t, w.exec.EraseBlobs(t.Context(), ref2, marked, func(bundle.Digest, storage.Still) error { return nil }))
	}
}

// Down and up again with two tenants and projects: everything is as before.
func TestMigrationsDownAndUpLoseNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	db := pgtest.New(t)
	l := postgres.NewLedger(db.DB)
	type read struct {
		rows  []ledger.Row
		lines []string
		terms int
	}
	all := map[string][]ledger.Observation{}
	for _, tenant := range []string{"ta", "tb"} {
		w := randomEvidence(rng, 120, 2)
		for i := range w.revisions {
			if i%3 == 0 {
				w.revisions[i].Project = "p1"
			}
		}
		for i := 0; i < len(w.revisions); i += 50 {
			_, err := l.Import(t.Context(), tenant, w.revisions[i:min(i+50, len(w.revisions))])
			require.NoError(t, err)
		}
		all[tenant] = w.revisions
	}
	see := func(tenant, project string) (r read) {
		l := postgres.NewLedger(db.DB)
		head, err := l.Head(t.Context(), tenant)
		require.NoError(t, err)
		var places []ledger.Place
		for seq := int64(1); seq <= head; seq += 7 {
			require.NoError(t, l.Current(t.Context(), tenant, project, seq, export.Selectors{}, ledger.KeyRange{}, func(row ledger.Row) error {
				places = append(places, row.Place)
				row.Place = ledger.Place{}
				r.rows = append(r.rows, row)
				return nil
			}))
			for _, sel := range []export.Selectors{{Ecosystems: []string{"npm"}}, {Products: []string{"pkg:npm/*"}}, {Products: []string{"pkg:npm/another"}}} {
				require.NoError(t, l.Current(t.Context(), tenant, project, seq, sel, ledger.KeyRange{}, func(row ledger.Row) error { r.terms += int(row.Seq); return nil }))
			}
		}
		require.NoError(t, l.Lines(t.Context(), tenant, places, func(line ledger.Line) error {
			line.Place = ledger.Place{}
			r.lines = append(r.lines, fmt.Sprintf("%+v", line))
			return nil
		}))
		for _, o := range all[tenant] {
			raw, err := l.Original(t.Context(), tenant, o.Digest)
			require.NoError(t, err)
			require.True(t, bytes.Equal(o.Raw, raw))
		}
		return r
	}
	before := map[string]read{}
	for _, k := range [][2]string{{"ta", ""}, {"ta", "p1"}, {"tb", ""}, {"tb", "p1"}} {
		before[k[0]+k[1]] = see(k[0], k[1])
	}
	for range 2 {
		require.NoError(t, postgres.MigrateDown(t.Context(), db.Owner, 3))
		require.NoError(t, postgres.Migrate(t.Context(), db.Owner))
	}
	db.DB.Close()
	fresh, err := postgres.Open(t.Context(), db.Config)
	require.NoError(t, err)
	defer fresh.Close()
	db.DB = fresh
	for _, k := range [][2]string{{"ta", ""}, {"ta", "p1"}, {"tb", ""}, {"tb", "p1"}} {
		after := see(k[0], k[1])
		require.Equal(t, before[k[0]+k[1]], after, "%v", k)
	}
	// a second import is all unchanged
	c, err := postgres.NewLedger(fresh).Import(t.Context(), "ta", all["ta"])
	require.NoError(t, err)
	require.EqualValues(t, c.Read, c.Unchanged)
}

// Places come in the order in which they are asked for, nil where nothing was
// saved; of another tenant there is nothing.
func TestPlacesOfManyShards(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	claim := w.begin(t, ref, export.PhaseResolve, 1)
	require.NoError(t, w.exec.SavePlaces(t.Context(), claim, []storage.ShardPlaces{
		{Hash: digest("a"), Places: []byte("of a")}, {Hash: digest("b"), Places: []byte("of b")},
	}))
	places, err := w.exec.Places(t.Context(), ref, []bundle.Digest{digest("b"), digest("none"), digest("a"), digest("b")})
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("of b"), nil, []byte("of a"), []byte("of b")}, places)
	places, err = w.exec.Places(t.Context(), export.Ref{Tenant: "other", RunID: ref.RunID}, []bundle.Digest{digest("a")})
	require.NoError(t, err)
	require.Equal(t, [][]byte{nil}, places)
}
