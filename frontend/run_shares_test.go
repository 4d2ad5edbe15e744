package frontend_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/storage"
)

// readShards counts the shards that are asked for.
type readShards struct {
	storage.Runs
	limit *atomic.Int64
}

func (r readShards) Planned(ctx context.Context, ref export.Ref, from, limit int) (bundle.Digest, []storage.PlannedShard, error) {
	r.limit.Add(int64(limit))
	return r.Runs.Planned(ctx, ref, from, limit)
}

// Each page of a plan tells how much of all of it is whose, and reads no more of it
// than the page.
func TestPagesOfAPlanOverSeveralTenants(t *testing.T) {
	signer, limit := approverOf(t, "a"), new(atomic.Int64)
	w := trustingWorld(t, signer, func(c *frontend.Config) { c.Runs = readShards{c.Runs, limit} })
	c := newCaller(t, w, "acme")
	c.nightly("nightly", withApprovals(t, approve(t, signer, bundle.Approval{Reader: "acme", Profile: "nightly", Tenant: "globex", ExpiresAt: untilNewYear})))
	run := c.send("POST", runsPath, `{"profileId":"nightly","selectors":{"tenants":["acme","globex"]}}`).run(t)
	var shards []storage.PlannedShard
	for n, source := range []string{storage.OwnSource(), storage.OwnSource(), storage.ForeignSource("globex", "_"), storage.ForeignSource("globex", "web"), storage.ForeignSource("globex", "web")} {
		shards = append(shards, storage.PlannedShard{Shard: storage.Shard{Ordinal: n, Name: fmt.Sprint(n), Kind: "advisory", Source: source, Count: int64(n + 1), Bytes: 10}})
	}
	w.Runs.Plan(export.Ref{Tenant: "acme", RunID: run.RunID}, shards...)
	for n := range shards {
		path := fmt.Sprintf("%s/%s/plan?limit=1", runsPath, run.RunID)
		if n > 0 {
			path += fmt.Sprintf("&cursor=%d", n)
		}
		var page frontend.RunPlan
		a := c.send("GET", path, "")
		require.Equal(t, 200, a.Status, a.Body)
		require.NoError(t, json.Unmarshal([]byte(a.Body), &page))
		require.Len(t, page.ShardList, 1)
		require.Equal(t, []frontend.TenantShare{
			{Tenant: "acme", Project: "_", Shards: 2, Records: 3, Bytes: 20},
			{Tenant: "globex", Project: "_", Shards: 1, Records: 3, Bytes: 10},
			{Tenant: "globex", Project: "web", Shards: 2, Records: 9, Bytes: 20},
		}, page.Tenants)
	}
	require.EqualValues(t, len(shards), limit.Load(), "a page is a page")
}
