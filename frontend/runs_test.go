package frontend_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

const runsPath = "/api/export/runs"

func TestCreateRun(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	a := c.send("POST", runsPath, `{"profileId":"json:raw",
		"selectors":{"ecosystems":["npm","PyPI","npm"],"kinds":["vex","advisory"],"sources":["osv"]},
		"options":{"allowEmpty":true},"labels":{"ticket":"SEC-1","emoji":"✓ ünïcode"}}`)
	require.Equal(t, 202, a.Status, a.Body)
	run := a.run(t)
	require.Equal(t, runsPath+"/"+run.RunID, a.Header.Get("Location"))
	require.Equal(t, frontend.RunStatus("pending"), run.Status)
	require.Equal(t, frontend.ProfileRef{ID: "prof-json-raw", Revision: 1, Name: "json-raw", Kind: "json", Variant: "raw"}, run.Profile)
	require.Equal(t, []string{"PyPI", "npm"}, run.Selectors.Ecosystems, "sorted, once")
	require.Equal(t, []string{"advisory", "vex"}, run.Selectors.Kinds)
	require.True(t, run.Options.AllowEmpty)
	require.Equal(t, frontend.Labels{"ticket": "SEC-1", "emoji": "✓ ünïcode"}, run.Labels)
	require.Equal(t, "tester@acme", run.RequestedBy)
	require.Equal(t, frontendtest.Start.Truncate(time.Second), run.RequestedAt, "whole seconds")
	require.Equal(t, []export.Ref{{Tenant: "acme", RunID: run.RunID}}, w.Starter.Started)
	require.Equal(t, run, c.send("GET", a.Header.Get("Location"), "").run(t))
}

func TestARedactionIsKeptInItsOneForm(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	first := c.send("POST", runsPath, `{"profileId":"json:raw","options":{"redaction":{"policyId":"acme/public","allow":{"vex":["b","a[].c"],"advisory":["*"]},"linkset":["products","aliases"]}}}`, "Idempotency-Key", "r").run(t)
	require.Equal(t, &frontend.Redaction{PolicyID: "acme/public", Allow: map[string][]string{"advisory": {"*"}, "vex": {"a[].c", "b"}},
		Linkset: []frontend.RedactionLinkset{"aliases", "products"}}, first.Options.Redaction)
	same := c.send("POST", runsPath, `{"profileId":"json:raw","options":{"redaction":{"linkset":["aliases","products"],"allow":{"advisory":["*"],"vex":["a[].c","b"]},"policyId":"acme/public"}}}`, "Idempotency-Key", "r")
	require.Equal(t, first.RunID, same.run(t).RunID, "the same redaction in other words")
}

func TestCreateRunSurvivesADeadEngine(t *testing.T) {
	w := frontendtest.New(t)
	w.Starter.Fail = frontendtest.ErrDown
	a := newCaller(t, w, "acme").send("POST", runsPath, `{"profileId":"prof-json-raw"}`)
	require.Equal(t, 202, a.Status)
	require.Equal(t, frontend.RunStatus("pending"), a.run(t).Status)
	require.NotContains(t, a.Body, "10.1.2.3")
	require.Contains(t, w.Log.String(), "left to the dispatcher")
}

func TestCreateRunRefusesBadRequests(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	many := func(n int) string {
		values := make([]string, n)
		for i := range values {
			values[i] = fmt.Sprintf("%q", fmt.Sprint("e", i))
		}
		return strings.Join(values, ",")
	}
	for name, test := range map[string]struct {
		body   string
		status int
		code   string
		says   string
	}{
		"unknown field":            {`{"profileId":"json:raw","selektors":{}}`, 400, "ERR_EXPORT_001", "selektors"},
		"unknown inner field":      {`{"profileId":"json:raw","selectors":{"kind":["vex"]}}`, 400, "ERR_EXPORT_001", `"kind"`},
		"other case":               {`{"profileid":"json:raw"}`, 400, "ERR_EXPORT_001", "profileid"},
		"field twice":              {`{"profileId":"json:raw","profileId":"json:policy"}`, 400, "ERR_EXPORT_001", "profileId"},
		"trailing data":            {`{"profileId":"json:raw"}{}`, 400, "ERR_EXPORT_001", ""},
		"not JSON":                 {`profileId=json`, 400, "ERR_EXPORT_001", ""},
		"wrong type":               {`{"profileId":7}`, 400, "ERR_EXPORT_001", "profileId"},
		"not UTF-8":                {"{\"profileId\":\"\xff\"}", 400, "ERR_EXPORT_001", ""},
		"deep":                     {`{"profileId":` + strings.Repeat("[", 100000) + `}`, 400, "ERR_EXPORT_001", ""},
		"no profile":               {`{}`, 404, "ERR_EXPORT_002", ""},
		"unknown profile":          {`{"profileId":"risk:bundle"}`, 404, "ERR_EXPORT_002", ""},
		"unknown kind":             {`{"profileId":"json:raw","selectors":{"kinds":["advisory","virus"]}}`, 400, "ERR_EXPORT_004", "selectors.kinds[1]"},
		"empty ecosystem":          {`{"profileId":"json:raw","selectors":{"ecosystems":[""]}}`, 400, "ERR_EXPORT_004", "selectors.ecosystems[0]"},
		"NUL in source":            {`{"profileId":"json:raw","selectors":{"sources":["a\u0000b"]}}`, 400, "ERR_EXPORT_004", "selectors.sources[0]"},
		"long source":              {`{"profileId":"json:raw","selectors":{"sources":["` + strings.Repeat("x", 257) + `"]}}`, 400, "ERR_EXPORT_004", "selectors.sources[0]"},
		"many ecosystems":          {`{"profileId":"json:raw","selectors":{"ecosystems":[` + many(257) + `]}}`, 400, "ERR_EXPORT_004", "selectors.ecosystems"},
		"redaction without policy": {`{"profileId":"json:raw","options":{"redaction":{"allow":{"vex":["*"]}}}}`, 400, "ERR_EXPORT_001", "options.redaction.policyId"},
		"redaction of nothing":     {`{"profileId":"json:raw","options":{"redaction":{"policyId":"p","allow":null}}}`, 400, "ERR_EXPORT_001", "options.redaction.allow"},
		"redaction of a virus":     {`{"profileId":"json:raw","options":{"redaction":{"policyId":"p","allow":{"virus":["*"]}}}}`, 400, "ERR_EXPORT_001", `"virus"`},
		"redaction by half a path": {`{"profileId":"json:raw","options":{"redaction":{"policyId":"p","allow":{"vex":["a","b[0]"]}}}}`, 400, "ERR_EXPORT_001", "options.redaction.allow.vex[1]"},
		"redaction of a number":    {`{"profileId":"json:raw","options":{"redaction":{"policyId":"p","allow":{"vex":[7]}}}}`, 400, "ERR_EXPORT_001", "redaction.allow"},
		"redaction field unknown":  {`{"profileId":"json:raw","options":{"redaction":{"policyId":"p","allow":{"vex":["*"]},"deny":[]}}}`, 400, "ERR_EXPORT_001", "deny"},
		"redaction of other kinds": {`{"profileId":"json:raw","selectors":{"kinds":["sbom"]},"options":{"redaction":{"policyId":"p","allow":{"vex":["*"]}}}}`, 400, "ERR_EXPORT_001", "kind sbom"},
		"redaction list unknown":   {`{"profileId":"json:raw","options":{"redaction":{"policyId":"p","allow":{"vex":["*"]},"linkset":["names"]}}}`, 400, "ERR_EXPORT_001", "options.redaction.linkset[0]"},
		"bad label key":            {`{"profileId":"json:raw","labels":{"a b":"c"}}`, 400, "ERR_EXPORT_001", "labels"},
		"long label":               {`{"profileId":"json:raw","labels":{"a":"` + strings.Repeat("x", 257) + `"}}`, 400, "ERR_EXPORT_001", "labels"},
		"empty body":               {``, 400, "ERR_EXPORT_001", "empty"},
		"too large":                {`{"profileId":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "ERR_EXPORT_020", "1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			a := c.send("POST", runsPath, test.body, "Content-Type", "application/json")
			require.Equal(t, test.status, a.Status, a.Body)
			p := a.problem(t)
			require.Equal(t, test.code, p.Code)
			require.Contains(t, p.Message, test.says)
			require.NotContains(t, p.Message, "frontend.")
			require.NotContains(t, p.Message, "RunRequest")
		})
	}
	require.Equal(t, 415, c.send("POST", runsPath, `{"profileId":"json:raw"}`, "Content-Type", "text/plain").Status)
	require.Empty(t, w.Starter.Started)
}

func TestIdempotencyKey(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	first := c.send("POST", runsPath, `{"profileId":"json:raw","selectors":{"kinds":["vex","advisory"]}}`, "Idempotency-Key", "key-1").run(t)
	same := c.send("POST", runsPath, ` {"selectors":{"kinds":["advisory","vex"]}, "profileId":"prof-json-raw"}`, "Idempotency-Key", "key-1")
	require.Equal(t, 202, same.Status)
	require.Equal(t, first.RunID, same.run(t).RunID, "the same request in other words")
	other := c.send("POST", runsPath, `{"profileId":"json:raw"}`, "Idempotency-Key", "key-1")
	require.Equal(t, 422, other.Status)
	require.Equal(t, "ERR_EXPORT_021", other.problem(t).Code)
	require.NotEqual(t, first.RunID, c.send("POST", runsPath, `{"profileId":"json:raw"}`, "Idempotency-Key", "key-2").run(t).RunID)
	require.NotEqual(t, first.RunID, c.send("POST", runsPath, `{"profileId":"json:raw"}`).run(t).RunID)
	for _, bad := range []string{"", "a b", "ä", strings.Repeat("k", 129)} {
		require.Equal(t, 400, c.send("POST", runsPath, `{"profileId":"json:raw"}`, "Idempotency-Key", bad).Status, "%q", bad)
	}
}

func TestListRuns(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	var ids []string
	for i := range 5 {
		state := export.StatePending
		if i%2 == 0 {
			state = export.StateFailed
		}
		ids = append(ids, w.Run("acme", state).ID)
	}
	var seen []string
	path := runsPath + "?limit=2"
	for pages := 0; ; pages++ {
		require.Less(t, pages, 4)
		var page frontend.RunPage
		require.NoError(t, json.Unmarshal([]byte(c.send("GET", path, "").Body), &page))
		for _, run := range page.Runs {
			seen = append(seen, run.RunID)
		}
		if page.NextCursor == "" {
			break
		}
		path = runsPath + "?limit=2&cursor=" + page.NextCursor
	}
	require.Equal(t, []string{ids[4], ids[3], ids[2], ids[1], ids[0]}, seen)
	require.Equal(t, 3, strings.Count(c.send("GET", runsPath+"?status=failed", "").Body, `"runId"`))
	require.Equal(t, 5, strings.Count(c.send("GET", runsPath+"?profile=json:raw", "").Body, `"runId"`))
	require.Equal(t, 0, strings.Count(c.send("GET", runsPath+"?profile=trivy:db", "").Body, `"runId"`))
	for _, bad := range []string{"status=done", "limit=0", "limit=201", "limit=x", "limit=-1", "cursor=x", "cursor=%00", "profile=", "limit=1&limit=2"} {
		a := c.send("GET", runsPath+"?"+bad, "")
		require.Equal(t, 400, a.Status, "%s: %s", bad, a.Body)
		require.NotContains(t, a.Body, "strconv")
	}
}

func TestRunIDsThatAreNone(t *testing.T) {
	c := newCaller(t, frontendtest.New(t), "acme")
	for _, id := range []string{"x", "..", "%2e%2e", "0192F3C4-5D6E-7F80-9A1B-000000000001", "0192f3c4-5d6e-7f80-9a1b-00000000000%00",
		"%27%20OR%201=1", strings.Repeat("a", 4000), "a%2Fb", "%ff"} {
		a := c.send("GET", runsPath+"/"+id, "")
		require.Contains(t, []int{400, 404}, a.Status, "%q: %s", id, a.Body)
		a.problem(t)
	}
}

func TestCancelRun(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	for name, test := range map[string]struct{ body, header, reason string }{
		"body":          {`{"reason":"wrong selectors"}`, "", "wrong selectors"},
		"header":        {``, "audit", "audit"},
		"body wins":     {`{"reason":"body"}`, "header", "body"},
		"none":          {``, "", "no reason given"},
		"empty object":  {`{}`, "", "no reason given"},
		"header and {}": {`{}`, "header", "header"},
	} {
		t.Run(name, func(t *testing.T) {
			run := w.Run("acme", export.StateRunning)
			headers := []string{}
			if test.header != "" {
				headers = []string{"X-Stella-Reason", test.header}
			}
			a := c.send("POST", runsPath+"/"+run.ID+"/cancel", test.body, headers...)
			require.Equal(t, 202, a.Status, a.Body)
			require.Equal(t, &frontend.Cancellation{By: "tester@acme", Reason: test.reason, At: frontendtest.Start}, a.run(t).Cancellation)
			require.Contains(t, w.Starter.Stopped, run.Ref())
			again := c.send("POST", runsPath+"/"+run.ID+"/cancel", `{"reason":"second thoughts"}`)
			require.Equal(t, 202, again.Status)
			require.Equal(t, test.reason, again.run(t).Cancellation.Reason, "the first reason stays")
		})
	}
	for _, state := range export.States {
		if !state.Terminal() {
			continue
		}
		a := c.send("POST", runsPath+"/"+w.Run("acme", state).ID+"/cancel", "")
		require.Equal(t, 409, a.Status)
		require.Equal(t, "ERR_EXPORT_009", a.problem(t).Code)
	}
	run := w.Run("acme", export.StateRunning)
	require.Equal(t, 400, c.send("POST", runsPath+"/"+run.ID+"/cancel", `{"reason":"`+strings.Repeat("x", 1025)+`"}`).Status)
	require.Equal(t, 400, c.send("POST", runsPath+"/"+run.ID+"/cancel", `{"why":"x"}`).Status)
}

func TestEndedRunShowsWhy(t *testing.T) {
	w := frontendtest.New(t)
	run := w.Run("acme", export.StateFailed)
	run.Failure = &export.Failure{Code: export.CodeEmptySelection, Message: "nothing selected", Phase: export.PhaseResolve}
	run.StartedAt = frontendtest.Start
	w.Runs.Put(run, nil)
	got := newCaller(t, w, "acme").send("GET", runsPath+"/"+run.ID, "").run(t)
	require.Equal(t, &frontend.RunError{Code: "ERR_EXPORT_018", Message: "nothing selected", Phase: "resolve"}, got.Error)
	require.False(t, got.CompletedAt.IsZero())
}
