package frontend_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/ledger"
)

// evidence records documents of two ecosystems, a minute apart, and then a
// newer revision of the first.
func evidence(t testing.TB, w *frontendtest.World, tenant string, documents int) {
	t.Helper()
	put := func(id, modified, ecosystem string) {
		raw := fmt.Appendf(nil, `{"id":%q,"modified":%q}`, id, modified)
		_, err := w.Ledger.Import(t.Context(), tenant, []ledger.Observation{{Kind: ledger.KindAdvisory, Format: "osv", Source: "osv",
			Stream: ecosystem, UpstreamID: id, Modified: modified, Subject: "pkg:" + ecosystem + "/" + id,
			Products: []string{"pkg:" + ecosystem + "/" + id}, Ecosystems: []string{ecosystem},
			Raw: raw, Canonical: raw, Digest: bundle.DigestOf(raw)}})
		require.NoError(t, err)
		w.SetTime(w.Now().Add(time.Minute))
	}
	for n := range documents {
		put(fmt.Sprintf("A-%02d", n), "2026-01-01T00:00:00.000000000Z", []string{"npm", "npm", "pypi"}[n%3])
	}
	put("A-00", "2026-02-01T00:00:00.000000000Z", "npm")
}

func read[T any](t testing.TB, c *caller, path string) (doc T) {
	t.Helper()
	a := c.send("GET", path, "")
	require.Equal(t, 200, a.Status, a.Body)
	require.NoError(t, json.Unmarshal([]byte(a.Body), &doc))
	return doc
}

// list reads all pages and gives the ids in order.
func list(t testing.TB, c *caller, query string) (ids []string) {
	t.Helper()
	path := "/api/ledger/documents?" + query
	for pages := 0; ; pages++ {
		require.Less(t, pages, 50)
		page := read[frontend.DocumentPage](t, c, path)
		for _, d := range page.Documents {
			ids = append(ids, d.UpstreamID)
		}
		if page.NextCursor == "" {
			return ids
		}
		path = "/api/ledger/documents?" + query + "&cursor=" + url.QueryEscape(page.NextCursor)
	}
}

func TestListDocuments(t *testing.T) {
	w := frontendtest.New(t)
	evidence(t, w, "acme", 12)
	c := newCaller(t, w, "acme")
	all := list(t, c, "limit=5")
	require.Len(t, all, 12)
	require.Equal(t, "A-00", all[11], "the newer revision is current, and was recorded last")
	require.Equal(t, "A-00", list(t, c, "asOf=12")[0], "as of before it, the older one is")
	require.Equal(t, []string{"A-02", "A-05", "A-08", "A-11"}, list(t, c, "ecosystem=pypi&limit=3"), "through pages that are not full")
	require.Equal(t, []string{"A-02", "A-05", "A-08", "A-11"}, list(t, c, "purl=pkg%3Apypi%2F"))
	require.Equal(t, []string{"A-07"}, list(t, c, "upstreamId=A-07&kind=advisory&source=osv&stream=npm"))
	require.Empty(t, list(t, c, "kind=vex"))
	require.Equal(t, []string{"A-00", "A-01", "A-02"}, list(t, c, "asOf="+url.QueryEscape(frontendtest.Start.Add(2*time.Minute).Format(time.RFC3339Nano))))
	require.Empty(t, list(t, c, "asOf=2000-01-01T00:00:00Z"))
	require.Empty(t, list(t, newCaller(t, w, "globex"), ""), "another tenant has nothing")

	page := read[frontend.DocumentPage](t, c, "/api/ledger/documents?limit=1&asOf=3")
	require.Equal(t, int64(3), page.AsOf)
	require.Equal(t, frontend.LedgerDocument{Seq: 1, Kind: "advisory", Format: "osv", UpstreamID: "A-00", Source: "osv", Stream: "npm",
		Subject: "pkg:npm/A-00", Modified: "2026-01-01T00:00:00.000000000Z", Digest: page.Documents[0].Digest, Bytes: 57}, page.Documents[0])
	require.Equal(t, 200, c.send("GET", "/api/ledger/documents/"+page.Documents[0].Digest, "").Status)

	evidence(t, w, "acme", 20)
	next := read[frontend.DocumentPage](t, c, "/api/ledger/documents?cursor="+page.NextCursor)
	require.Equal(t, int64(3), next.AsOf, "pages keep the moment of the first")
	require.Len(t, next.Documents, 2)
}

func TestLedgerReadsRefuseBadRequests(t *testing.T) {
	w := frontendtest.New(t)
	evidence(t, w, "acme", 12)
	c := newCaller(t, w, "acme")
	cursor := read[frontend.DocumentPage](t, c, "/api/ledger/documents?limit=1&ecosystem=npm").NextCursor
	for _, bad := range []string{
		"documents?limit=0", "documents?limit=201", "documents?limit=x", "documents?kind=virus", "documents?source=", "documents?purl=%00",
		"documents?upstreamId=" + strings.Repeat("x", 513), "documents?asOf=-1", "documents?asOf=14", "documents?asOf=%2B1", "documents?asOf=yesterday",
		"documents?asOf=2026-01-01", "documents?cursor=x", "documents?cursor=" + cursor, "documents?ecosystem=npm&kind=vex&cursor=" + cursor,
		"documents?ecosystem=npm&asOf=5&cursor=" + cursor, "documents?ecosystem=npm&cursor=" + cursor + "A",
		"stats?top=0", "stats?top=101", "stats?asOf=14", "stats?asOf=",
	} {
		a := c.send("GET", "/api/ledger/"+bad, "")
		require.Equal(t, 400, a.Status, "%s: %s", bad, a.Body)
		require.Equal(t, "ERR_EXPORT_001", a.problem(t).Code)
	}
	stranger := newCaller(t, w, "globex")
	require.Equal(t, 400, stranger.send("GET", "/api/ledger/documents?ecosystem=npm&cursor="+cursor, "").Status, "beyond its own ledger")
	c.token = w.Issuer.Token(t, "acme", "ledger:import", "export:read", "export:run")
	for _, path := range []string{"documents", "stats"} {
		a := c.send("GET", "/api/ledger/"+path, "")
		require.Equal(t, 403, a.Status)
		require.Equal(t, "ERR_EXPORT_SCOPE", a.problem(t).Code)
	}
}

func TestLedgerStats(t *testing.T) {
	w := frontendtest.New(t)
	evidence(t, w, "acme", 12)
	c := newCaller(t, w, "acme")
	stats := read[frontend.LedgerStats](t, c, "/api/ledger/stats")
	require.Equal(t, int64(13), stats.Revisions)
	require.Equal(t, int64(12), stats.Documents)
	require.Equal(t, int64(12*57), stats.Bytes)
	require.Equal(t, frontendtest.Start, stats.FirstRecorded)
	require.Equal(t, frontendtest.Start.Add(12*time.Minute), stats.LastRecorded)
	require.Equal(t, []frontend.LedgerCount{{Name: "npm", Documents: 8, Revisions: 9, Bytes: 8 * 57}, {Name: "pypi", Documents: 4, Revisions: 4, Bytes: 4 * 57}}, stats.Ecosystems)
	require.Len(t, read[frontend.LedgerStats](t, c, "/api/ledger/stats?top=1").Ecosystems, 1)
	past := read[frontend.LedgerStats](t, c, "/api/ledger/stats?asOf=2")
	require.Equal(t, []int64{2, 13, 2}, []int64{past.AsOf, past.Head, past.Documents})

	empty := read[frontend.LedgerStats](t, newCaller(t, w, "globex"), "/api/ledger/stats")
	require.Zero(t, empty.Revisions)
	require.True(t, empty.FirstRecorded.IsZero())
}

// A dry run names the price and leaves no trace: no run, no key, no start.
func TestDryRun(t *testing.T) {
	w := frontendtest.New(t)
	evidence(t, w, "acme", 12)
	w.Runs.Limits.Active, w.Runs.Limits.Pending = 1, 1
	c := newCaller(t, w, "acme")
	dry := `{"profileId":"json:raw","selectors":{"ecosystems":["pypi"]},"options":{"dryRun":true}}`
	for range 5 { // more than the queue takes
		a := c.send("POST", runsPath, dry, "Idempotency-Key", "k")
		require.Equal(t, 200, a.Status, a.Body)
		var tag frontend.PriceTag
		require.NoError(t, json.Unmarshal([]byte(a.Body), &tag))
		require.Equal(t, frontend.PriceTag{AsOf: 13, Records: 4, Bytes: 4 * 57, Shards: 1, ShardsToPack: 1, BytesToPack: 4 * 57,
			Excluded: []frontend.Exclusion{{Member: "ecosystems", Documents: 8, Bytes: 8 * 57}},
			Kinds:    []frontend.KindPrice{{Kind: "advisory", Records: 4, Bytes: 4 * 57, Shards: 1}}}, tag)
	}
	require.Empty(t, w.Starter.Started)
	require.Empty(t, read[frontend.RunPage](t, c, runsPath).Runs)
	require.Equal(t, 202, c.send("POST", runsPath, `{"profileId":"json:raw"}`, "Idempotency-Key", "k").Status, "the key is free")

	nothing := c.send("POST", runsPath, `{"profileId":"json:raw","selectors":{"kinds":["sbom"]},"options":{"dryRun":true}}`)
	require.Equal(t, 200, nothing.Status)
	require.JSONEq(t, `{"asOf":13,"records":0,"bytes":0,"shards":0,"shardsToPack":0,"shardsToReuse":0,"bytesToPack":0,"kinds":[],
		"excluded":[{"member":"kinds","documents":12,"bytes":684}]}`, nothing.Body)
	for body, code := range map[string]string{
		`{"profileId":"risk:bundle","options":{"dryRun":true}}`:                                     "ERR_EXPORT_002",
		`{"profileId":"json:raw","selectors":{"products":["lodash"]},"options":{"dryRun":true}}`:    "ERR_EXPORT_004",
		`{"profileId":"json:raw","options":{"dryRun":"yes"}}`:                                       "ERR_EXPORT_001",
		`{"profileId":"json:raw","options":{"dryRun":true,"allowEmpty":true},"labels":{"a b":"c"}}`: "ERR_EXPORT_001",
	} {
		require.Equal(t, code, c.send("POST", runsPath, body).problem(t).Code, body)
	}
}
