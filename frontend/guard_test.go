package frontend_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
)

// parked is a run of tenant that waits until an hour from now.
func parked(t testing.TB, w *frontendtest.World, tenant string) export.Run {
	t.Helper()
	run := w.Run(tenant, export.StateRunning)
	config := &export.GuardConfig{MaxAgeHours: 5, Canaries: []string{"CVE-2026-1"}}
	report := config.NewGuardReport(&export.GuardBaseline{RunID: run.ID, RequestedAt: frontendtest.Start},
		[]export.SourceCount{{Source: "ghsa", Stream: "npm", Kind: "advisory", Documents: 3, Records: 4, Newest: "2026-01-01T00:00:00.000000000Z"}}, nil,
		frontendtest.Start, []export.GuardCanary{{ID: "CVE-2026-1"}},
		export.Disappeared{Total: 3, Documents: []export.GoneDocument{{ID: "GHSA-1", Source: "ghsa", Withdrawn: true}}})
	w.Runs.Guard(run.Ref(), storage.Guarded{Report: report, Parked: true, At: frontendtest.Start, Until: frontendtest.Start.Add(time.Hour)})
	return run
}

func TestTheGuardsReport(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	run := parked(t, w, "acme")
	a := c.send("GET", runsPath+"/"+run.ID+"/guard", "")
	require.Equal(t, 200, a.Status, a.Body)
	require.JSONEq(t, `{"runId":"`+run.ID+`","at":"`+frontendtest.Start.Format(time.RFC3339Nano)+`","parked":true,
		"baseline":{"runId":"`+run.ID+`","requestedAt":"`+frontendtest.Start.Format(time.RFC3339Nano)+`"},"maxDropPercent":10,"maxAgeHours":5,
		"reasons":[{"rule":"source-vanished","source":"ghsa","stream":"npm","kind":"advisory",
			"message":"source ghsa, stream npm (advisory) has vanished: it gave 3 documents in the last run and gives none"},
			{"rule":"canary-not-found","canary":"CVE-2026-1","message":"canary CVE-2026-1 is not found: no record has it as its id or alias"}],"reasonsTotal":2,
		"sources":[{"source":"ghsa","stream":"npm","kind":"advisory","before":{"documents":3,"records":4,"newest":"2026-01-01T00:00:00.000000000Z"}}],"sourcesTotal":1,
		"canaries":[{"id":"CVE-2026-1","found":false}],"disappeared":{"total":3,"documents":[{"id":"GHSA-1","source":"ghsa","withdrawn":true}]}}`, string(a.Body))
	waiting := c.send("GET", runsPath+"/"+run.ID, "").run(t)
	require.Equal(t, frontend.RunStatus("waiting"), waiting.Status)
	require.Equal(t, frontendtest.Start, waiting.Wait.WaitingSince)
	require.Equal(t, frontendtest.Start.Add(time.Hour), waiting.Wait.ExpiresAt)
	require.Contains(t, waiting.Wait.Why, "has vanished")

	a = c.send("GET", runsPath+"/"+w.Run("acme", export.StateRunning).ID+"/guard", "")
	require.Equal(t, 409, a.Status)
	require.Equal(t, "ERR_EXPORT_014", a.problem(t).Code)
	require.Equal(t, 404, newCaller(t, w, "globex").send("GET", runsPath+"/"+run.ID+"/guard", "").Status)
}

func TestDecisionsAboutARun(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	for word, verdict := range map[string]frontend.RunDecisionVerdict{"approve": "approved", "reject": "rejected"} {
		t.Run(word, func(t *testing.T) {
			run := parked(t, w, "acme")
			path := runsPath + "/" + run.ID + "/" + word
			for _, body := range []string{"", "{}", `{"reason":""}`, `{"reason":"` + strings.Repeat("x", 1025) + `"}`, `{"reason":"a\nb"}`, `{"why":"x"}`} {
				require.Equal(t, 400, c.send("POST", path, body).Status, "%.40s", body)
			}
			require.Nil(t, c.send("GET", runsPath+"/"+run.ID, "").run(t).Wait.Decision)
			require.Equal(t, 404, newCaller(t, w, "globex").send("POST", path, `{"reason":"x"}`).Status)

			a := c.send("POST", path, `{"reason":"the source ended"}`)
			require.Equal(t, 202, a.Status, a.Body)
			require.Equal(t, &frontend.RunDecision{Verdict: verdict, By: "tester@acme", Reason: "the source ended", At: frontendtest.Start}, a.run(t).Wait.Decision)
			require.Contains(t, w.Starter.Decided, run.Ref())
			again := c.send("POST", path, "", "X-Stella-Reason", "another")
			require.Equal(t, 202, again.Status)
			require.Equal(t, "the source ended", again.run(t).Wait.Decision.Reason)
			other := map[string]string{"approve": "reject", "reject": "approve"}[word]
			a = c.send("POST", runsPath+"/"+run.ID+"/"+other, `{"reason":"no"}`)
			require.Equal(t, 409, a.Status)
			require.Equal(t, "ERR_EXPORT_009", a.problem(t).Code)
			require.Contains(t, a.problem(t).Message, "first decision stands")

			byHeader := parked(t, w, "acme")
			a = c.send("POST", runsPath+"/"+byHeader.ID+"/"+word, "", "X-Stella-Reason", "said so")
			require.Equal(t, 202, a.Status, a.Body)
			require.Equal(t, "said so", a.run(t).Wait.Decision.Reason)

			w.Starter.Fail = frontendtest.ErrDown
			defer func() { w.Starter.Fail = nil }()
			late := parked(t, w, "acme")
			require.Equal(t, 202, c.send("POST", runsPath+"/"+late.ID+"/"+word, `{"reason":"x"}`).Status, "it is recorded; the dispatcher tells it")
			for _, state := range []export.State{export.StateRunning, export.StateSucceeded, export.StateFailed} {
				a := c.send("POST", runsPath+"/"+w.Run("acme", state).ID+"/"+word, `{"reason":"x"}`)
				require.Equal(t, 409, a.Status, state)
			}
		})
	}
}

// What is published is the last run that succeeded with the profile's own selection,
// whatever came after it: a part of it, or that of a project, publishes nothing.
func TestTheLatestRunOfAProfile(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	latest := func(profile string) answer { return c.send("GET", "/api/export/profiles/"+profile+"/latest", "") }
	a := latest("prof-json-raw")
	require.Equal(t, 404, a.Status)
	require.Equal(t, "ERR_EXPORT_003", a.problem(t).Code)
	require.Equal(t, 404, latest("no-such-profile").Status)
	w.Run("acme", export.StateSucceeded)
	good := w.Run("acme", export.StateSucceeded)
	w.Run("globex", export.StateSucceeded)
	part := w.Run("acme", export.StateSucceeded)
	part.Selectors.Ecosystems = []string{"npm"}
	w.Runs.Put(part, nil)
	elsewhere := w.Run("acme", export.StateSucceeded)
	elsewhere.Project = "web"
	w.Runs.Put(elsewhere, nil)
	parked(t, w, "acme")
	w.Run("acme", export.StateFailed)
	for _, name := range []string{"prof-json-raw", "json-raw", "json:raw"} {
		a = latest(name)
		require.Equal(t, 200, a.Status, a.Body)
		require.Equal(t, good.ID, a.run(t).RunID)
	}
}
