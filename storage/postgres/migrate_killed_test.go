package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// killsEach bounds how often one migration is killed; FAULTS=all kills it behind
// each statement.
const killsEach = 8

// Every migration, up and down, is killed behind statements of its that change the
// schema, the last among them: by the end of its connection, and behind one also by
// kill -9 of its process. Nothing of it is left, and run again it arrives where it
// arrives undisturbed: at the same schema, privileges and data. Up is run on the
// data that the way down left, and gives the schema back that there was.
func TestMigrationsAreKilledInTheMiddle(t *testing.T) {
	if what := os.Getenv(migrateChild); what != "" {
		migrateAndEnd(t, what)
		return
	}
	rng := seeded(t)
	copies := pgtest.Copies(t, func(db *pgtest.Database) { worldOf(db).fill(t) })
	twin, victim := newBuilding(t, copies(t)), newBuilding(t, copies(t))
	began := victim.state(t)
	requireSameState(t, twin.state(t), began, "two copies")
	newest, err := postgres.NewestMigration()
	require.NoError(t, err)
	kills := 0
	for version := newest; version >= 1; version-- {
		if there, err := postgres.HasMigration(version); err != nil || !there {
			require.NoError(t, err)
			continue // a number that was never given
		}
		schema := victim.state(t).schema
		for _, s := range []migration{{version, false}, {version, true}} {
			statements := twin.count(t, s)
			require.Positive(t, statements, "%s changes nothing", s)
			before := victim.state(t)
			chosen := someOf(rng, statements)
			byProcess := chosen[rng.IntN(len(chosen))]
			for _, nth := range chosen {
				when := fmt.Sprintf("%s, killed behind statement %d of %d", s, nth, statements)
				victim.endConnection(t, s, nth)
				requireSameState(t, before, victim.state(t), when)
				if nth == byProcess {
					victim.killProcess(t, s, nth)
					requireSameState(t, before, victim.state(t), when)
					kills++
				}
				kills++
			}
			victim.run(t, s)
			requireSameState(t, twin.state(t), victim.state(t), s.String()+", run again")
		}
		requireSame(t, schema, victim.state(t).schema, fmt.Sprintf("down from %d and up again", version))
		twin.run(t, migration{version, false})
		victim.run(t, migration{version, false})
	}
	victim.run(t, migration{newest, true})
	requireSame(t, began.schema, victim.state(t).schema, "down to 0 and up again")
	t.Logf("%d migrations up and down, %d kills", newest, kills)
}

// someOf gives the statements, from 1, behind which a migration is killed.
func someOf(rng *rand.Rand, statements int) []int {
	chosen := rng.Perm(statements)
	if os.Getenv("FAULTS") != "all" {
		chosen = chosen[:min(killsEach, statements)]
	}
	for i := range chosen {
		chosen[i]++
	}
	if !slices.Contains(chosen, statements) {
		chosen[0] = statements
	}
	return chosen
}

// migration is one migration, in one direction.
type migration struct {
	version int64
	up      bool
}

func (m migration) String() string {
	if m.up {
		return fmt.Sprintf("up to %d", m.version)
	}
	return fmt.Sprintf("down from %d", m.version)
}

func (m migration) do(ctx context.Context, ownerDSN string) error {
	if m.up {
		return postgres.MigrateUp(ctx, ownerDSN, m.version)
	}
	return postgres.MigrateDown(ctx, ownerDSN, m.version-1)
}

// builtState is all that a migration may change, in lines.
type builtState struct{ schema, rows []string }

func (b building) state(t *testing.T) builtState {
	t.Helper()
	s := builtState{schemaOf(t, b.admin), lines(t, b.admin, "select 'version ' || version_id || ' ' || is_applied from goose_db_version order by id")}
	for table, rows := range dataOf(t, b.admin) {
		if table == "ledger_moments" { // of documents that are moved: now
			rows, _, _ = strings.Cut(rows, " ")
		}
		s.rows = append(s.rows, "rows of "+table+" "+rows)
	}
	return s
}

// requireSame names the lines of which got has fewer (-) or more (+).
func requireSame(t *testing.T, want, got []string, when string) {
	t.Helper()
	count := map[string]int{}
	for _, line := range want {
		count[line]--
	}
	for _, line := range got {
		count[line]++
	}
	var differ []string
	for line, n := range count {
		switch {
		case n < 0:
			differ = append(differ, "- "+line)
		case n > 0:
			differ = append(differ, "+ "+line)
		}
	}
	slices.Sort(differ)
	require.Empty(t, strings.Join(differ, "\n"), when)
}

func requireSameState(t *testing.T, want, got builtState, when string) {
	t.Helper()
	requireSame(t, slices.Concat(want.schema, want.rows), slices.Concat(got.schema, got.rows), when)
}
