package postgres_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// gone says that o's document was removed on a day of March 2026, counted from 1;
// 0 states no time.
func gone(o ledger.Observation, day int) ledger.Removal {
	r := ledger.Removal{Identity: o.Identity(), Reason: "withdrawn", By: "tester"}
	if day > 0 {
		r.Time = time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC)
	}
	return r
}

func march(day int) string { return fmt.Sprintf("2026-03-%02dT00:00:00.000000000Z", day) }

// removing is a ledger of one tenant whose steps are numbered as they are taken.
type removing struct {
	t     *testing.T
	store *postgres.Ledger
}

func (r removing) brings(o ledger.Observation, want ledger.Counts) {
	r.t.Helper()
	want.Read = 1
	got, err := r.store.Import(r.t.Context(), "acme", []ledger.Observation{o})
	require.NoError(r.t, err)
	require.Equal(r.t, want, got)
}

func (r removing) removes(gone ledger.Removal, want ledger.RemovalCounts) {
	r.t.Helper()
	want.Read = 1
	got, err := r.store.Remove(r.t.Context(), "acme", []ledger.Removal{gone})
	require.NoError(r.t, err)
	require.Equal(r.t, want, got)
}

// is holds how many documents are current, now, and that no step back changed.
func (r removing) is(head int64, documents ...string) {
	r.t.Helper()
	now, err := r.store.Head(r.t.Context(), "acme")
	require.NoError(r.t, err)
	require.Equal(r.t, head, now)
	var ids []string
	for _, row := range current(r.t, r.store, "acme", head, export.Selectors{}) {
		ids = append(ids, row.Digest.Hex()[:6])
	}
	require.Equal(r.t, documents, ids)
}

func mark(o ledger.Observation) string { return o.Digest.Hex()[:6] }

func TestARemovalIsARevision(t *testing.T) {
	r := removing{t, postgres.NewLedger(pgtest.New(t).DB)}
	first, second, third := document("s", "D", march(1), "1"), document("s", "D", march(5), "2"), document("s", "D", march(9), "3")
	r.removes(gone(first, 2), ledger.RemovalCounts{Absent: 1, Missing: []int{0}})
	r.brings(first, ledger.Counts{Accepted: 1})
	r.is(1, mark(first))
	r.removes(gone(first, 2), ledger.RemovalCounts{Removed: 1})
	r.is(2)
	r.removes(gone(first, 2), ledger.RemovalCounts{Unchanged: 1})
	r.removes(gone(first, 1), ledger.RemovalCounts{Unchanged: 1})
	r.removes(gone(first, 0), ledger.RemovalCounts{Unchanged: 1})
	r.brings(first, ledger.Counts{Unchanged: 1})
	r.is(2)
	r.brings(document("s", "D", march(2), "the removal's own moment"), ledger.Counts{Superseded: 1})
	r.is(3)
	r.brings(second, ledger.Counts{Accepted: 1})
	r.is(4, mark(second))
	r.removes(gone(first, 4), ledger.RemovalCounts{Superseded: 1, Standing: []ledger.Standing{{Modified: second.Modified}}})
	r.removes(gone(first, 5), ledger.RemovalCounts{Removed: 1})
	r.is(5)
	r.removes(gone(first, 8), ledger.RemovalCounts{Removed: 1})
	r.brings(document("s", "D", march(7), "between two removals"), ledger.Counts{Superseded: 1})
	r.is(7)
	r.brings(third, ledger.Counts{Accepted: 1})
	r.is(8, mark(third))
	r.removes(gone(first, 0), ledger.RemovalCounts{Removed: 1})
	r.is(9)

	for seq, want := range map[int64]string{1: mark(first), 4: mark(second), 8: mark(third)} {
		rows := current(t, r.store, "acme", seq, export.Selectors{})
		require.Len(t, rows, 1, "as of %d", seq)
		require.Equal(t, want, rows[0].Digest.Hex()[:6])
	}
	for _, seq := range []int64{2, 3, 5, 6, 7, 9} {
		require.Empty(t, current(t, r.store, "acme", seq, export.Selectors{}), "as of %d", seq)
	}
	raw, err := r.store.Original(t.Context(), "acme", first.Digest)
	require.NoError(t, err, "nothing is deleted")
	require.Equal(t, first.Raw, raw)
}

// TestARemovalBeforeItsDocument is the one thing that the order of arrival decides: said
// before the document is there, a removal does not hold; said again, it does.
func TestARemovalBeforeItsDocument(t *testing.T) {
	o := document("s", "D", march(1), "1")
	after := removing{t, postgres.NewLedger(pgtest.New(t).DB)}
	after.brings(o, ledger.Counts{Accepted: 1})
	after.removes(gone(o, 2), ledger.RemovalCounts{Removed: 1})
	after.is(2)
	before := removing{t, postgres.NewLedger(pgtest.New(t).DB)}
	before.removes(gone(o, 2), ledger.RemovalCounts{Absent: 1, Missing: []int{0}})
	before.brings(o, ledger.Counts{Accepted: 1})
	before.is(1, mark(o))
	before.removes(gone(o, 2), ledger.RemovalCounts{Removed: 1})
	before.is(2)
}

// A document without a time of its own is before every removal, and the version
// of a BOM that stands for a time is before every real one.
func TestRemovalsOfDocumentsWithoutATime(t *testing.T) {
	r := removing{t, postgres.NewLedger(pgtest.New(t).DB)}
	timeless := document("s", "T", "", "1")
	r.brings(timeless, ledger.Counts{Accepted: 1})
	r.removes(gone(timeless, 1), ledger.RemovalCounts{Removed: 1})
	r.brings(timeless, ledger.Counts{Unchanged: 1})
	r.brings(document("s", "T", "", "other bytes"), ledger.Counts{Superseded: 1})
	r.is(3)
	r.brings(document("s", "T", march(2), "with a time"), ledger.Counts{Accepted: 1})
	r.removes(gone(timeless, 3), ledger.RemovalCounts{Removed: 1})
	r.is(5)

	ahead := document("s", "Z", "2999-01-01T00:00:00.000000000Z", "of a clock that is ahead")
	r.brings(ahead, ledger.Counts{Accepted: 1})
	r.removes(gone(ahead, 9), ledger.RemovalCounts{Superseded: 1, Standing: []ledger.Standing{{Modified: ahead.Modified}}})
	r.removes(gone(ahead, 0), ledger.RemovalCounts{Removed: 1})
	r.is(7)

	version := func(n int) string { return fmt.Sprintf("0001-01-01T00:00:%02d.000000000Z", n) }
	bom := document("s", "B", version(7), "7")
	r.brings(bom, ledger.Counts{Accepted: 1})
	seventh := gone(bom, 0)
	seventh.Time = time.Date(1, 1, 1, 0, 0, 7, 0, time.UTC)
	r.removes(seventh, ledger.RemovalCounts{Removed: 1})
	r.brings(document("s", "B", version(6), "6"), ledger.Counts{Superseded: 1})
	r.is(10)
	eighth := document("s", "B", version(8), "8")
	r.brings(eighth, ledger.Counts{Accepted: 1})
	r.is(11, mark(eighth))
}

// Entries of a batch are taken one by one; the good ones are recorded, and who
// is absent is told.
func TestRemovalsOfABatch(t *testing.T) {
	l := newLibrary(t)
	a, b := document("s", "A", march(1), "x"), document("s", "B", march(9), "x")
	elsewhere := a
	elsewhere.Project = "elsewhere"
	l.record(t, "acme", a, b)
	l.record(t, "globex", document("s", "C", march(1), "x"))
	counts, err := l.book.Remove(t.Context(), "acme", []ledger.Removal{
		gone(a, 3), gone(document("s", "C", march(1), "x"), 3), gone(a, 2), gone(a, 4), gone(b, 3), gone(elsewhere, 3), gone(a, 0)})
	require.NoError(t, err)
	require.Equal(t, ledger.RemovalCounts{Read: 7, Removed: 2, Unchanged: 2, Superseded: 1, Absent: 2, Missing: []int{1, 5}, Standing: []ledger.Standing{{Position: 4, Modified: b.Modified}}}, counts)
	recorded, err := postgres.Removals(t.Context(), l.book, "acme")
	require.NoError(t, err)
	want := func(day int) ledger.Removal {
		r := gone(a, day)
		r.Project = ledger.NoProject
		return r
	}
	require.Equal(t, map[int64]ledger.Removal{3: want(3), 4: want(4)}, recorded)
	counts, err = l.book.Remove(t.Context(), "acme", nil)
	require.NoError(t, err)
	require.Zero(t, counts)
	counts, err = l.book.Remove(t.Context(), "nobody", []ledger.Removal{gone(a, 1)})
	require.NoError(t, err)
	require.Equal(t, ledger.RemovalCounts{Read: 1, Absent: 1, Missing: []int{0}}, counts)

	bad := gone(a, 1)
	bad.Reason = "two\nlines"
	_, err = l.book.Remove(t.Context(), "acme", []ledger.Removal{gone(a, 5), bad})
	require.ErrorContains(t, err, `removal 2, of "A"`)
	_, err = l.book.Remove(t.Context(), "acme", make([]ledger.Removal, ledger.MaxRemovals+1))
	require.ErrorContains(t, err, "at most 10000")
	head, err := l.book.Head(t.Context(), "acme")
	require.NoError(t, err)
	require.EqualValues(t, 4, head, "a batch with a mistake is not taken at all")
}

// A removal has its moment, as an import has.
func TestRemovalsHaveAMoment(t *testing.T) {
	l := newLibrary(t)
	a := document("s", "A", march(1), "x")
	l.record(t, "acme", a)
	before := time.Now()
	_, err := l.book.Remove(t.Context(), "acme", []ledger.Removal{gone(a, 2)})
	require.NoError(t, err)
	for seq, at := range map[int64]time.Time{1: before, 2: time.Now()} {
		got, err := l.catalog.SeqAt(t.Context(), "acme", at)
		require.NoError(t, err)
		require.Equal(t, seq, got)
	}
}

// Down to the release before, which knows of no removals, every document stands
// as its revisions alone say.
func TestTheWayDownKnowsNoRemovals(t *testing.T) {
	rng := seeded(t)
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	worlds := map[string]evidence{}
	for _, tenant := range []string{"ta", "tb"} {
		worlds[tenant] = randomEvidence(rng, 40, 2).removing(rng, true)
		importTogether(t, store, tenant, worlds[tenant])
	}
	require.NoError(t, postgres.MigrateDown(t.Context(), db.Owner, 22))
	requireForced(t, connect(t, db.Admin), "down")
	require.NoError(t, postgres.Migrate(t.Context(), db.Owner))
	for tenant, w := range worlds {
		head, err := store.Head(t.Context(), tenant)
		require.NoError(t, err)
		require.Equal(t, currentOf(w.revisions), digests(current(t, store, tenant, head, export.Selectors{})))
		checkOvertaken(t, db, tenant)
	}
}

func TestSurveyCountsRemovals(t *testing.T) {
	l := newLibrary(t)
	a := document("s", "A", march(1), "x")
	l.record(t, "acme", a)
	_, err := l.book.Remove(t.Context(), "acme", []ledger.Removal{gone(a, 2)})
	require.NoError(t, err)
	survey := postgres.NewSurvey(l.DB)
	counts, err := survey.LedgerRecord(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, storage.LedgerRecord{Head: 2, Greatest: 2, Count: 1, Removals: 1}, counts)
	checkOvertaken(t, l.Database, "acme")

	l.admin(t, "update ledger_superseded set by_seq = 1 where tenant = 'acme'")
	var wrong []storage.OvertakenRecord
	require.NoError(t, survey.Overtaken(t.Context(), "acme", func(r storage.OvertakenRecord) error { wrong = append(wrong, r); return nil }))
	require.Equal(t, []storage.OvertakenRecord{{Seq: 1, Recorded: 1, Right: 2}}, wrong)
}

// A listing of a ledger with removals still reads the index in order, and the
// question what stands looks each document up.
func TestRemovalsAreLookedUp(t *testing.T) {
	l := newLibrary(t)
	var batch []ledger.Observation
	for n := range 2000 {
		batch = append(batch, document("s", fmt.Sprint(n), march(1), strings.Repeat("x", 50)))
	}
	l.record(t, "acme", batch...)
	l.admin(t, "analyze ledger_observations")
	var identities [][]byte
	for range 100 {
		d := bundle.DigestOf([]byte("x"))
		identities = append(identities, d[:16])
	}
	plan := strings.Join(postgres.Explain(t, l.DB, "acme", postgres.StandingQuery, "acme", identities), "\n")
	require.Contains(t, plan, "ledger_observations_identity")
	require.Contains(t, plan, "ledger_removals_identity")
	require.NotContains(t, plan, "Seq Scan", plan)
}
