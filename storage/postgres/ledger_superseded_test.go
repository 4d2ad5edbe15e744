package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// What the migration works out for old rows is what the import would have written.
func TestMigrationKnowsWhichRevisionsWereOvertaken(t *testing.T) {
	rng := seeded(t)
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	for _, tenant := range []string{"ta", "tb"} {
		importTogether(t, store, tenant, randomEvidence(rng, 40, 2))
	}
	admin := connect(t, db.Admin)
	overtaken := func() []string {
		rows, err := admin.Query(t.Context(), "select tenant || ' ' || seq || ' ' || by_seq from ledger_superseded order by tenant, seq")
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return lines
	}
	before := overtaken()
	require.NotEmpty(t, before)
	require.NoError(t, postgres.MigrateDown(t.Context(), db.Owner, 3))
	require.NoError(t, postgres.Migrate(t.Context(), db.Owner))
	require.Equal(t, before, overtaken())
}

// A listing reads the index in the order of the export: nothing is sorted,
// nothing joined, and no table of the ledger is read as a whole. This holds
// without statistics, as in a ledger that was just filled.
func TestCurrentIsReadInOrder(t *testing.T) {
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	var batch []ledger.Observation
	for _, id := range []string{"a", "b", "c"} {
		batch = append(batch, document("s", id, someTime, "x"))
	}
	_, err := store.Import(t.Context(), "acme", batch)
	require.NoError(t, err)
	for name, sel := range map[string]export.Selectors{
		"all":        {},
		"kinds":      {Kinds: []string{"advisory", "vex"}},
		"sources":    {Sources: []string{"s"}},
		"ecosystems": {Ecosystems: []string{"npm", "Go"}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := strings.Join(postgres.ExplainCurrent(t, db.DB, "acme", 3, sel), "\n")
			require.Contains(t, plan, "Index Only Scan using ledger_observations_export", plan)
			for _, bad := range []string{"Sort", "Join", "Seq Scan", "Nested Loop"} {
				require.NotContains(t, plan, bad, plan)
			}
		})
	}
}

// A few documents are looked up, many are read in order: the answer is the same.
func TestFewAndManyAreListedAlike(t *testing.T) {
	rng := seeded(t)
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	w := randomEvidence(rng, 60, 2)
	for i := range w.revisions {
		w.revisions[i].Ecosystems = []string{[]string{"Go", "npm", "PyPI"}[rng.IntN(3)]}
	}
	_, err := store.Import(t.Context(), "acme", w.revisions)
	require.NoError(t, err)
	n := int64(len(w.revisions))
	for seq := int64(0); seq <= n; seq += 1 + n/7 {
		for _, sel := range []export.Selectors{
			{Ecosystems: []string{"Go"}}, {Ecosystems: []string{"Go", "npm"}, Sources: []string{"s1"}},
			{Ecosystems: []string{"none"}}, {Ecosystems: []string{"PyPI"}, Kinds: []string{"advisory"}},
		} {
			var selected []ledger.Observation
			for _, o := range greatestOf(w.revisions[:seq]) {
				if slices.Contains(sel.Ecosystems, o.Ecosystems[0]) && (len(sel.Sources) == 0 || slices.Contains(sel.Sources, o.Source)) {
					selected = append(selected, o)
				}
			}
			model := currentOf(selected)
			few, many := postgres.ListCurrent(t, db.DB, "acme", seq, sel, true), postgres.ListCurrent(t, db.DB, "acme", seq, sel, false)
			require.Equal(t, few, many)
			require.Equal(t, model, digests(few), "as of %d, %+v", seq, sel)
		}
	}
}

// greatestOf gives the greatest revision of each document.
func greatestOf(revisions []ledger.Observation) map[ledger.Identity]ledger.Observation {
	greatest := map[ledger.Identity]ledger.Observation{}
	for _, o := range revisions {
		if best, ok := greatest[o.Identity()]; !ok || ledger.Greater(o, best) {
			greatest[o.Identity()] = o
		}
	}
	return greatest
}

// Documents are looked up in the order asked: only their numbers are sorted.
func TestLinesAreLookedUpInOrder(t *testing.T) {
	plan := postgres.ExplainLines(t, pgtest.New(t).DB, "acme")
	require.Contains(t, plan[0], "Nested Loop", strings.Join(plan, "\n"))
	require.NotContains(t, strings.Join(plan, "\n"), "Seq Scan")
}
