package frontend_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/comparison"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
)

// ended is a run of acme's that ended as of a sequence, with a plan of one shard.
func ended(t testing.TB, w *frontendtest.World, asOf int64, change func(*export.Run)) export.Run {
	t.Helper()
	run := w.Run("acme", export.StateSucceeded)
	run.AsOf = asOf
	if change != nil {
		change(&run)
	}
	w.Runs.Put(run, nil)
	w.Runs.Plan(run.Ref(), storage.PlannedShard{Shard: storage.Shard{Kind: "advisory", Cursor: "advisory\n\n\nosv\nnpm", Hash: bundle.DigestOf(fmt.Append(nil, asOf))}})
	return run
}

func diffPath(from, to export.Run) string { return runsPath + "/" + from.ID + "/diff/" + to.ID }

func (c *caller) diff(path, query string) (page frontend.RunDiff) {
	c.t.Helper()
	a := c.send("GET", path+"?"+query, "")
	require.Equal(c.t, 200, a.Status, a.Body)
	require.NoError(c.t, json.Unmarshal([]byte(a.Body), &page))
	return page
}

func TestWhatChangedBetweenTwoRuns(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	advisory := func(id, severity, fixed string) string {
		return record(fmt.Sprintf(`{"id":%q,"modified":"2026-01-0%dT00:00:00Z","database_specific":{"severity":%q},
			"affected":[{"package":{"ecosystem":"npm","name":"p"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`, id, len(severity), severity, fixed))
	}
	importText(t, c, advisory("A", "LOW", "1")+advisory("B", "LOW", "1")+advisory("C", "LOW", "1"))
	from := ended(t, w, 3, nil)
	importText(t, c, advisory("A", "HIGH", "1")+advisory("C", "CRITICAL", "2")+advisory("D", "LOW", "1"))
	to := ended(t, w, 6, nil)
	page := c.diff(diffPath(from, to), "")
	require.Equal(t, frontend.ComparedRun{RunID: from.ID, Profile: page.From.Profile, AsOf: 3, Shards: 1}, page.From)
	require.Equal(t, [2]int64{6, 0}, [2]int64{page.To.AsOf, int64(page.ShardsSame)})
	said := func(word string) *frontend.SeveritySaid {
		return &frontend.SeveritySaid{Word: word, Said: []string{word}}
	}
	at := func(change, id string) frontend.DocumentChange {
		return frontend.DocumentChange{Change: frontend.DocumentChangeChange(change), Kind: "advisory", Source: "osv", Stream: "npm", ID: id, Aliases: []string{}}
	}
	a, changed, d := at("changed", "A"), at("changed", "C"), at("added", "D")
	a.What, a.Severity = []frontend.DocumentChangeWhat{"severity"}, []frontend.SeverityChange{{From: said("low"), To: said("high")}}
	changed.What, changed.Severity = []frontend.DocumentChangeWhat{"severity", "range", "fixed"}, []frontend.SeverityChange{{From: said("low"), To: said("critical")}}
	changed.Packages = []frontend.PackageChange{{Ecosystem: "npm", Name: "p", Change: "changed", RangesAdded: []string{"SEMVER: introduced 0, fixed 2"},
		RangesRemoved: []string{"SEMVER: introduced 0, fixed 1"}, FixedAdded: []string{"2"}, FixedRemoved: []string{"1"}}}
	d.Severity = []frontend.SeverityChange{{To: said("low")}}
	require.Equal(t, []frontend.DocumentChange{a, changed, d}, page.Changes)

	ids := func(query string) (ids []string) {
		for next := query; ; {
			page := c.diff(diffPath(from, to), next)
			for _, change := range page.Changes {
				ids = append(ids, change.ID)
			}
			if page.NextCursor == "" {
				return ids
			}
			next = query + "&cursor=" + page.NextCursor
		}
	}
	require.Equal(t, []string{"A", "C", "D"}, ids("limit=1"))
	require.Equal(t, []string{"C"}, ids("limit=1&only=range"))
	require.Equal(t, []string{"D"}, ids("only=added&kind=advisory"))
	require.Empty(t, ids("only=removed"))
	require.Empty(t, ids("kind=vex"))
	back := c.diff(diffPath(to, from), "only=removed")
	require.Len(t, back.Changes, 1)
	require.Equal(t, "D", back.Changes[0].ID)
	require.Equal(t, said("low"), back.Changes[0].Severity[0].From)
	same := c.diff(diffPath(from, from), "")
	require.Empty(t, same.Changes)
	require.Equal(t, 1, same.ShardsSame)
}

func TestRunsThatAreNotCompared(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	importText(t, c, record(`{"id":"CVE-1"}`))
	good := ended(t, w, 1, nil)
	refused := func(from, to export.Run, query string, status int, code, says string) {
		t.Helper()
		a := c.send("GET", diffPath(from, to)+"?"+query, "")
		require.Equal(t, status, a.Status, a.Body)
		require.Equal(t, code, a.problem(t).Code)
		require.Contains(t, a.problem(t).Message, says)
	}
	reaching := ended(t, w, 1, func(r *export.Run) { r.Reach = &export.Reach{} })
	redacted := ended(t, w, 1, func(r *export.Run) { r.Options.Redaction = &export.Redaction{PolicyID: "p"} })
	narrow := ended(t, w, 1, func(r *export.Run) { r.Selectors.Kinds = []string{"advisory", "vex"} })
	for _, both := range [][2]export.Run{{good, reaching}, {reaching, good}} {
		refused(both[0], both[1], "", 400, "ERR_EXPORT_001", "other tenants' evidence")
	}
	for _, both := range [][2]export.Run{{good, redacted}, {redacted, good}} {
		refused(both[0], both[1], "", 400, "ERR_EXPORT_001", "leaves fields of its evidence out")
	}
	delta := ended(t, w, 1, func(r *export.Run) {
		r.Kind, r.Variant, r.Options.BaseRunID, r.Options.TargetRunID = "mirror", "delta", good.ID, narrow.ID
	})
	for _, both := range [][2]export.Run{{good, delta}, {delta, good}, {delta, delta}} {
		refused(both[0], both[1], "", 400, "ERR_EXPORT_001", "is a delta: compare the mirrors that it lies between, "+good.ID+" and "+narrow.ID)
	}
	refused(good, narrow, "", 400, "ERR_EXPORT_001", "takes every kind of evidence and run "+narrow.ID+" takes advisory, vex: name a kind")
	refused(narrow, good, "kind=sbom", 400, "ERR_EXPORT_001", "takes advisory, vex only")
	c.diff(diffPath(good, narrow), "kind=vex")
	refused(good, w.Run("acme", export.StateRunning), "", 409, "ERR_EXPORT_014", "no plan yet")
	refused(w.Run("acme", export.StatePending), good, "", 409, "ERR_EXPORT_014", "no plan yet")
	refused(good, w.Run("acme", export.StateFailed), "", 410, "ERR_EXPORT_015", "was destroyed")
	planned := ended(t, w, 1, func(r *export.Run) { r.State = export.StateAborted })
	refused(good, planned, "", 410, "ERR_EXPORT_015", "was destroyed")
	c.diff(diffPath(good, ended(t, w, 1, func(r *export.Run) { r.State = export.StateExpired })), "")

	// A stranger's runs are as absent as those that never were, on either side.
	stranger := newCaller(t, w, "globex")
	own := w.Run("globex", export.StateSucceeded)
	w.Runs.Plan(own.Ref(), storage.PlannedShard{})
	random := export.Run{ID: "7b3f9a52-64f1-4bfc-9b8e-8a2f1d2c3b4a"}
	for _, both := range [][2]export.Run{{own, good}, {good, own}, {good, good}} {
		foreign := stranger.send("GET", diffPath(both[0], both[1]), "")
		require.Equal(t, 404, foreign.Status)
		absent := stranger.send("GET", diffPath(random, random), "")
		require.Equal(t, comparable(t, absent), comparable(t, foreign))
	}
}

func TestCursorsOfAComparison(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	from := ended(t, w, 0, func(r *export.Run) { r.Selectors.Kinds = []string{"advisory"} })
	importText(t, c, record(`{"id":"CVE-1"}`)+record(`{"id":"CVE-2"}`))
	to := ended(t, w, 2, func(r *export.Run) { r.Selectors.Kinds = []string{"advisory"} })
	cursor := c.diff(diffPath(from, to), "limit=1").NextCursor
	require.NotEmpty(t, cursor)
	page := c.diff(diffPath(from, to), "limit=2&cursor="+cursor)
	require.Len(t, page.Changes, 1)
	require.Equal(t, "CVE-2", page.Changes[0].ID)
	for query, path := range map[string]string{
		"cursor=" + cursor:                    diffPath(to, from),
		"only=added&cursor=" + cursor:         diffPath(from, to),
		"kind=advisory&cursor=" + cursor:      diffPath(from, to),
		"cursor=" + cursor[:len(cursor)-2]:    diffPath(from, to),
		"cursor=x" + cursor:                   diffPath(from, to),
		"cursor=":                             diffPath(from, to),
		"cursor=" + strings.Repeat("A", 4097): diffPath(from, to),
		"cursor=" + base64.RawURLEncoding.EncodeToString([]byte("v1.x.advisory\n\n\n\n")): diffPath(from, to),
		"limit=0": diffPath(from, to), "limit=1001": diffPath(from, to), "only=less": diffPath(from, to), "only=": diffPath(from, to),
		"kind=": diffPath(from, to), "kind=news": diffPath(from, to),
	} {
		require.Equal(t, 400, c.send("GET", path+"?"+query, "").Status, query)
	}
}

// The document has the words that the comparison has.
func TestWordsOfAComparison(t *testing.T) {
	for _, word := range comparison.OnlyWords {
		require.True(t, frontend.GetRunDiffParamsOnly(word).Valid(), word)
	}
	for _, word := range comparison.Aspects {
		require.True(t, frontend.DocumentChangeWhat(word).Valid(), word)
	}
}
