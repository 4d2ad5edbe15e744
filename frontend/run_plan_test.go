package frontend_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
)

func TestRunPlan(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	importText(t, c, record(`{"id":"CVE-1"}`)+record(`{"id":"CVE-2"}`)+record(`{"id":"OSV-1"}`))
	run := w.Run("acme", export.StateRunning)
	run.AsOf, run.Selectors = 3, export.Selectors{Include: []string{"CVE-*"}}
	run.Progress = export.Progress{Shards: 60, Records: 120, Bytes: 600}
	w.Runs.Put(run, nil)
	path := runsPath + "/" + run.ID + "/plan"
	early := c.send("GET", path, "")
	require.Equal(t, 409, early.Status)
	require.Equal(t, "ERR_EXPORT_014", early.problem(t).Code)

	var shards []storage.PlannedShard
	for n := range 60 {
		s := storage.PlannedShard{Shard: storage.Shard{Ordinal: n, Name: fmt.Sprintf("data/raw/advisories-%016x.jsonl.zst", n), Kind: "advisory", Count: 2, Bytes: 10, Hash: bundle.DigestOf([]byte{byte(n)})}}
		if n < 20 {
			s.Result, s.Reused = &storage.File{Digest: bundle.DigestOf([]byte("x")), Size: 7}, n < 10
		}
		shards = append(shards, s)
	}
	w.Runs.Plan(run.Ref(), shards...)
	var states = map[frontend.PlannedShardState]int{}
	ordinal := 0
	for next := path; next != ""; {
		var page frontend.RunPlan
		a := c.send("GET", next, "")
		require.NoError(t, json.Unmarshal([]byte(a.Body), &page), a.Body)
		require.Equal(t, int64(3), page.AsOf)
		require.Equal(t, 60, page.Shards)
		require.Equal(t, []string{"CVE-*"}, page.Selectors.Include)
		require.Nil(t, page.Excluded)
		for _, s := range page.ShardList {
			require.Equal(t, ordinal, s.Ordinal)
			require.Equal(t, s.State == "planned", s.Digest == "")
			states[s.State]++
			ordinal++
		}
		if next = ""; page.NextCursor != "" {
			next = path + "?cursor=" + page.NextCursor
		}
	}
	require.Equal(t, map[frontend.PlannedShardState]int{"planned": 40, "packed": 10, "reused": 10}, states)
	var whole frontend.RunPlan
	require.NoError(t, json.Unmarshal([]byte(c.send("GET", path+"?excluded=true&limit=1", "").Body), &whole))
	require.Len(t, whole.Excluded, 1)
	require.Equal(t, "include", whole.Excluded[0].Member)
	require.Equal(t, int64(1), whole.Excluded[0].Documents)
	for _, bad := range []string{"cursor=0", "cursor=-1", "cursor=01", "cursor=x", "limit=0", "limit=201", "excluded=maybe"} {
		require.Equal(t, 400, c.send("GET", path+"?"+bad, "").Status, bad)
	}
	stranger := newCaller(t, w, "globex")
	foreign, absent := stranger.send("GET", path, ""), stranger.send("GET", runsPath+"/7b3f9a52-64f1-4bfc-9b8e-8a2f1d2c3b4a/plan", "")
	require.Equal(t, 404, foreign.Status)
	require.Equal(t, comparable(t, absent), comparable(t, foreign))

	ended := w.Run("acme", export.StateAborted)
	gone := c.send("GET", runsPath+"/"+ended.ID+"/plan", "")
	require.Equal(t, 410, gone.Status)
	require.Equal(t, "ERR_EXPORT_015", gone.problem(t).Code)
}

// The price says what is left out by which member, and what is taken over.
func TestPriceSaysWhatIsLeftOutAndTakenOver(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	importText(t, c, record(`{"id":"CVE-1"}`)+record(`{"id":"CVE-2"}`)+record(`{"id":"OSV-1"}`)+record(`{"id":"OSV-2"}`))
	price := func(selectors string) (tag frontend.PriceTag) {
		a := c.send("POST", runsPath, `{"profileId":"json:raw","selectors":`+selectors+`,"options":{"dryRun":true}}`)
		require.Equal(t, 200, a.Status, a.Body)
		require.NoError(t, json.Unmarshal([]byte(a.Body), &tag))
		return tag
	}
	tag := price(`{"include":["CVE-*","OSV-1"],"exclude":["CVE-2"],"severities":[]}`)
	require.Equal(t, int64(2), tag.Records)
	members := map[string]int64{}
	for _, e := range tag.Excluded {
		members[e.Member] = e.Documents
	}
	require.Equal(t, map[string]int64{"include": 1, "exclude": 1}, members)
	require.Equal(t, [3]int64{1, 0, tag.Bytes}, [3]int64{int64(tag.ShardsToPack), int64(tag.ShardsToReuse), tag.BytesToPack})

	w.Runs.PackedAll = true
	tag = price(`{}`)
	require.Equal(t, [3]int64{0, 1, 0}, [3]int64{int64(tag.ShardsToPack), int64(tag.ShardsToReuse), tag.BytesToPack})
	var all int64
	for _, sel := range []string{`{}`, `{"kinds":["sbom"]}`, `{"sample":{"rate":0.5,"seed":"s"}}`} {
		tag := price(sel)
		left := int64(0)
		for _, e := range tag.Excluded {
			left += e.Documents
		}
		if all == 0 {
			all = tag.Records
		}
		require.Equal(t, all, tag.Records+left, "records and what is left out are everything: %s", sel)
	}
}

func TestListRunsByFilters(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	for n, label := range []string{"red", "blue", "red"} {
		run := w.Run("acme", export.StatePending)
		run.Labels = map[string]string{"team": label, "n": fmt.Sprint(n)}
		run.RequestedBy = []string{"alice", "bob", "alice"}[n]
		run.RequestedAt = run.RequestedAt.AddDate(0, 0, n)
		w.Runs.Put(run, nil)
	}
	count := func(query string) int {
		var page frontend.RunPage
		a := c.send("GET", runsPath+"?"+query, "")
		require.Equal(t, 200, a.Status, a.Body)
		require.NoError(t, json.Unmarshal([]byte(a.Body), &page))
		return len(page.Runs)
	}
	for query, want := range map[string]int{
		"": 3, "label=team=red": 2, "label=team=green": 0, "label=n=1": 1, "label=other=": 0, "requestedBy=alice": 2, "requestedBy=eve": 0,
		"from=2026-11-22T08:00:00Z": 2, "to=2026-11-22T08:00:00Z": 1, "from=2026-11-22T08:00:00Z&to=2026-11-22T08:00:01Z": 1,
		"from=2026-11-22T09:00:00%2B01:00&requestedBy=alice&label=team=red&status=pending&profile=json-raw": 1,
	} {
		require.Equal(t, want, count(query), query)
	}
	for _, bad := range []string{"label=team", "label==x", "label=a%20b=c", "label=a=%07", "requestedBy=", "requestedBy=%00", "from=yesterday", "to=", "from=2026-11-22T08:00:00Z&to=2026-11-22T08:00:00Z"} {
		require.Equal(t, 400, c.send("GET", runsPath+"?"+bad, "").Status, bad)
	}
}

// A run is of the project that is asked for, and a token of one keeps to it.
func TestProjectsAndTenantsOfARun(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	claims := w.Issuer.Claims("acme", frontendtest.AllScopes...)
	claims["project"] = "web"
	inProject := &caller{t: t, world: w, client: w.Client(t), token: signed(t, w, claims)}
	ask := func(c *caller, selectors string) answer {
		return c.send("POST", runsPath, `{"profileId":"json:raw","selectors":`+selectors+`}`)
	}
	require.Equal(t, "web", ask(c, `{"projects":["web"]}`).run(t).Project)
	require.Empty(t, ask(c, `{"projects":["_"]}`).run(t).Project)
	require.Equal(t, "web", ask(inProject, `{"projects":["web"]}`).run(t).Project)
	require.Equal(t, []string{"acme"}, ask(c, `{"tenants":["acme","acme"]}`).run(t).Selectors.Tenants)
	for selectors, test := range map[string]struct {
		caller *caller
		code   string
	}{
		`{"projects":["web","api"]}`:     {c, "ERR_EXPORT_004"},
		`{"projects":["api"]}`:           {inProject, "ERR_EXPORT_004"},
		`{"projects":["_"]}`:             {inProject, "ERR_EXPORT_004"},
		`{"projects":["../b"]}`:          {c, "ERR_EXPORT_004"},
		`{"tenants":["globex"]}`:         {c, "ERR_EXPORT_004"},
		`{"tenants":["acme","globex"]}`:  {c, "ERR_EXPORT_008"},
		`{"tenants":["acme","nothing"]}`: {c, "ERR_EXPORT_008"},
		`{"tenants":["acme","Globex"]}`:  {c, "ERR_EXPORT_004"},
	} {
		require.Equal(t, test.code, ask(test.caller, selectors).problem(t).Code, selectors)
	}
	require.Equal(t, 403, ask(c, `{"tenants":["acme","globex"]}`).Status)
}
