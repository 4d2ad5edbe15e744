package activities

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// The same documents of several tenants and projects: shards never mix, each source
// has its first shard and its directory, and the hashes differ, so that nothing of
// one is found packed, or placed, for another.
func TestShardsAreOfOneSource(t *testing.T) {
	all := rows(40, 60_000)
	y := newYard()
	own := planned(t, y, all)
	p := newPlanner(y.keep)
	sources := []string{storage.OwnSource(), storage.ForeignSource("globex", "_"), storage.ForeignSource("globex", "web"), storage.ForeignSource("initech", "_")}
	for _, source := range sources {
		require.NoError(t, p.from(source))
		for _, row := range all {
			require.NoError(t, p.add(row))
		}
	}
	require.NoError(t, p.end())
	require.Len(t, p.shards, len(sources)*len(own))
	names, hashes := map[string]bool{}, map[string]bool{}
	for i, s := range p.shards {
		require.Equal(t, i, s.Ordinal)
		require.Equal(t, sources[i/len(own)], s.Source)
		require.False(t, names[s.Name] || hashes[s.Hash.String()], s.Name)
		names[s.Name], hashes[s.Hash.String()] = true, true
	}
	require.Equal(t, own, p.shards[:len(own)], "one's own shards are those of every other run")
	require.Equal(t, "data/tenants/globex/_/advisories-0000000000000000.jsonl.zst", p.shards[len(own)].Name)
	require.Equal(t, "data/tenants/globex/web/advisories-0000000000000000.jsonl.zst", p.shards[2*len(own)].Name)
}

func TestSourcesAreReadAsTheyAreWritten(t *testing.T) {
	tenant, project, foreign := storage.Holder(storage.ForeignSource("globex", "_"))
	require.Equal(t, []any{"globex", "_", true}, []any{tenant, project, foreign})
	_, _, foreign = storage.Holder(storage.OwnSource())
	require.False(t, foreign)
	require.Empty(t, storage.ListPrefix(storage.OwnSource()))
	run := export.Run{Tenant: "acme", AsOf: 7, Reach: &export.Reach{Readings: []export.Reading{{Tenant: "acme", Project: "_", AsOf: 5}, {Tenant: "globex", Project: "web", AsOf: 9}}}}
	for i, source := range []string{storage.OwnSource(), storage.ForeignSource("globex", "web")} {
		r, err := readingOf(run, source)
		require.NoError(t, err)
		require.Equal(t, run.Reach.Readings[i], r)
	}
	_, err := readingOf(run, storage.ForeignSource("globex", "_"))
	require.ErrorIs(t, err, storage.ErrConflict, "a plan with what the run does not read is not carried out")
	run.Reach = nil
	r, err := readingOf(run, storage.OwnSource())
	require.NoError(t, err)
	require.Equal(t, export.Reading{Tenant: "acme", Project: "_", AsOf: 7}, r)
}

// atlas is a ledger that notes whose documents it gives.
type atlas struct {
	*shelf
	asked []string
}

func (a *atlas) Lines(ctx context.Context, tenant string, places []ledger.Place, yield func(ledger.Line) error) error {
	a.asked = append(a.asked, tenant)
	return a.shelf.Lines(ctx, tenant, places, yield)
}

// Documents of several sources are never read together, each is asked of its own
// tenant; and without an approval that this worker knows of, the other's not at all.
func TestAGroupIsReadFromItsOwnTenant(t *testing.T) {
	all := rows(40, 6_000)
	y := newYard()
	p := newPlanner(y.keep)
	for _, source := range []string{storage.OwnSource(), storage.ForeignSource("globex", "_")} {
		require.NoError(t, p.from(source))
		for _, row := range all {
			require.NoError(t, p.add(row))
		}
	}
	require.NoError(t, p.end())
	y.plan = p.shards
	ledgers := &atlas{shelf: &shelf{rows: all}}
	err := packRunInto(t, y, ledgers, p.shards, export.Run{Tenant: "t", Reach: &export.Reach{
		Readings: []export.Reading{{Tenant: "globex", Project: "_"}, {Tenant: "t", Project: "_"}}}})
	require.ErrorContains(t, err, "ERR_EXPORT_008")
	require.Equal(t, []string{"t"}, ledgers.asked, "nothing of the other tenant is asked for")
}
