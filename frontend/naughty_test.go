package frontend_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// freeField is a place of the API where a text may stand.
type freeField struct {
	name   string // what a refusal must name
	method string
	path   string
	body   string // with %s for the text, as JSON
	at     string // where the text stands in the thing that was made, "" = nowhere
	admin  bool
}

const runBody = `{"profileId":"json:raw","options":{"allowEmpty":true},`

// freeFields are all places for texts in requests: names, words for people, and what
// evidence is selected by.
var freeFields = []freeField{
	{"name", "POST", "/api/export/profiles", `{"name":%s,"kind":"json","variant":"raw"}`, "name", false},
	{"description", "POST", "/api/export/profiles", `{"name":"NEW","kind":"json","variant":"raw","description":%s}`, "description", false},
	{"labels", "POST", "/api/export/profiles", `{"name":"NEW","kind":"json","variant":"raw","labels":{"k":%s}}`, "labels.k", false},
	{"labels", "POST", "/api/export/profiles", `{"name":"NEW","kind":"json","variant":"raw","labels":{%s:"v"}}`, "", false},
	{"kind", "POST", "/api/export/profiles", `{"name":"NEW","kind":%s,"variant":"raw"}`, "", false},
	{"kind", "POST", "/api/export/profiles", `{"name":"NEW","kind":"json","variant":%s}`, "", false},
	{"config", "POST", "/api/export/profiles", `{"name":"NEW","kind":"json","variant":"raw","config":{"include":[%s]}}`, "", false},
	{"config", "POST", "/api/export/profiles", `{"name":"NEW","kind":"json","variant":"raw","config":{%s:1}}`, "", false},
	{"config", "POST", "/api/export/profiles", `{"name":"NEW","kind":"json","variant":"raw","config":{"redaction":{"policyId":%s,"allow":{"vex":["*"]}}}}`, "config.redaction.policyId", false},
	{"config", "POST", "/api/export/profiles", `{"name":"NEW","kind":"json","variant":"raw","config":{"redaction":{"policyId":"p","allow":{"vex":[%s]}}}}`, "config.redaction.allow.vex.0", false},
	{"description", "PATCH", "/api/export/profiles/kept", `{"description":%s}`, "description", false},
	{"labels", "PATCH", "/api/export/profiles/kept", `{"labels":{"k":%s}}`, "labels.k", false},
	{"profileId", "POST", "/api/export/runs", `{"profileId":%s}`, "", false},
	{"labels", "POST", "/api/export/runs", runBody + `"labels":{"k":%s}}`, "labels.k", false},
	{"labels", "POST", "/api/export/runs", runBody + `"labels":{%s:"v"}}`, "", false},
	{"selectors.kinds", "POST", "/api/export/runs", runBody + `"selectors":{"kinds":[%s]}}`, "selectors.kinds.0", false},
	{"selectors.sources", "POST", "/api/export/runs", runBody + `"selectors":{"sources":[%s]}}`, "selectors.sources.0", false},
	{"selectors.ecosystems", "POST", "/api/export/runs", runBody + `"selectors":{"ecosystems":[%s]}}`, "selectors.ecosystems.0", false},
	{"selectors.products", "POST", "/api/export/runs", runBody + `"selectors":{"products":[%s]}}`, "selectors.products.0", false},
	{"selectors.severities", "POST", "/api/export/runs", runBody + `"selectors":{"severities":[%s]}}`, "selectors.severities.0", false},
	{"selectors.sbomSubjects", "POST", "/api/export/runs", runBody + `"selectors":{"sbomSubjects":[%s]}}`, "selectors.sbomSubjects.0", false},
	{"selectors.include", "POST", "/api/export/runs", runBody + `"selectors":{"include":[%s]}}`, "selectors.include.0", false},
	{"selectors.exclude", "POST", "/api/export/runs", runBody + `"selectors":{"exclude":[%s]}}`, "selectors.exclude.0", false},
	{"selectors.projects", "POST", "/api/export/runs", runBody + `"selectors":{"projects":[%s]}}`, "selectors.projects.0", false},
	{"selectors.tenants", "POST", "/api/export/runs", runBody + `"selectors":{"tenants":[%s]}}`, "selectors.tenants.0", false},
	{"selectors.sample", "POST", "/api/export/runs", runBody + `"selectors":{"sample":{"rate":0.5,"seed":%s}}}`, "selectors.sample.seed", false},
	{"selectors.timeWindow", "POST", "/api/export/runs", runBody + `"selectors":{"timeWindow":{"from":%s}}}`, "", false},
	{"options.policySnapshotId", "POST", "/api/export/runs", `{"profileId":"json:raw","options":{"allowEmpty":true,"policySnapshotId":%s}}`, "options.policySnapshotId", false},
	{"options.policyEngine", "POST", "/api/export/runs", `{"profileId":"json:raw","options":{"allowEmpty":true,"policyEngine":%s}}`, "", false},
	{"options.redaction", "POST", "/api/export/runs", `{"profileId":"json:raw","options":{"allowEmpty":true,"redaction":{"policyId":%s,"allow":{"vex":["*"]}}}}`, "options.redaction.policyId", false},
	{"reason", "POST", "/api/export/runs/RUN/cancel", `{"reason":%s}`, "cancellation.reason", false},
	{"displayName", "POST", "/api/tenants", `{"tenant":"NEW","displayName":%s}`, "displayName", true},
	{"reason", "POST", "/api/tenants/TENANT/suspend", `{"reason":%s}`, "reason", true},
}

// place gives what stands at a path of members and numbers.
func place(doc any, path string) any {
	for _, part := range strings.Split(path, ".") {
		switch v := doc.(type) {
		case map[string]any:
			doc = v[part]
		case []any:
			if part != "0" || len(v) != 1 {
				return nil
			}
			doc = v[0]
		default:
			return nil
		}
	}
	return doc
}

// Whatever a text is, a 2xx means that it comes back byte for byte, from the answer, from
// the thing and from the list it is in; everything else names the field, and nothing of
// it makes the server fail.
func TestNaughtyStrings(t *testing.T) {
	w := frontendtest.New(t)
	acme, admin := newCaller(t, w, "acme"), administrator(t, w)
	acme.client, admin.client = http.DefaultClient, http.DefaultClient // these leave the bounds of the document
	require.Equal(t, 201, acme.send("POST", "/api/export/profiles", `{"name":"kept","kind":"json","variant":"raw"}`).Status)
	made := 0
	listed := map[string]map[string]expectation{"runs": {}, "profiles": {}}
	for _, f := range freeFields {
		c := acme
		if f.admin {
			c = admin
		}
		accepted := 0
		send := func(literal string) answer {
			made++
			text := strings.ReplaceAll(fmt.Sprintf(f.body, literal), `"NEW"`, fmt.Sprintf(`"new-%d"`, made))
			path := f.path
			if strings.Contains(path, "RUN") {
				path = strings.ReplaceAll(path, "RUN", w.Run("acme", export.StatePending).ID)
			}
			if strings.Contains(path, "TENANT") {
				name := fmt.Sprintf("t-%d", made)
				require.Equal(t, 201, admin.send("POST", "/api/tenants", `{"tenant":"`+name+`"}`).Status)
				path = strings.ReplaceAll(path, "TENANT", name)
			}
			headers := []string{}
			if f.method == "PATCH" {
				headers = []string{"If-Match", "*"}
			}
			return c.send(f.method, path, text, headers...)
		}
		for _, text := range testkit.NaughtyStrings() {
			a := send(testkit.Literal(text))
			switch {
			case a.Status >= 500 || a.Status < 200 || a.Status >= 300 && a.Status < 400:
				t.Fatalf("%s %s %s = %.80q: %d %s", f.method, f.path, f.name, text, a.Status, a.Body)
			case a.Status >= 400:
				p := a.problem(t)
				named := strings.Contains(p.Message, f.name)
				for _, detail := range p.Details {
					named = named || strings.Contains(detail.Field, f.name)
				}
				// What is not there (a profile of that name, a kind) is said as such; so is what nobody may.
				require.True(t, named || a.Status == 404 || a.Status == 403, "%s %s %s = %.80q: %s", f.method, f.path, f.name, text, a.Body)
				require.NotContainsf(t, p.Message, "\x1b", "the message drives a terminal")
				require.False(t, strings.ContainsFunc(p.Message, func(r rune) bool { return unicode.IsControl(r) }), "%.80q", p.Message)
			case f.at != "":
				accepted++
				requireText(t, c, f, text, a, listed)
			}
		}
		for _, literal := range testkit.NaughtyLiterals() {
			a := send(literal)
			require.True(t, a.Status >= 400 && a.Status < 500, "%s %s %s = %.80q: %d %s", f.method, f.path, f.name, literal, a.Status, a.Body)
		}
		if slices.Contains([]string{"description", "displayName", "reason", "selectors.include", "selectors.sample"}, f.name) {
			require.Greater(t, accepted, 80, "%s takes texts", f.name)
		}
	}
	requireLists(t, acme, listed)
}

// expectation is a text that a thing of a list has.
type expectation struct {
	at, text string
}

// met wants the text at its place.
func (e expectation) met(t *testing.T, where string, doc any) {
	t.Helper()
	got := place(doc, e.at)
	if e.text == "" && (got == nil || strings.HasSuffix(e.at, "reason")) {
		return // left out, or "no reason given"
	}
	require.Equal(t, e.text, got, "%s in %s", e.at, where)
}

// requireText wants text at its place in the answer and in the thing; what its list must
// have is noted.
func requireText(t *testing.T, c *caller, f freeField, text string, a answer, listed map[string]map[string]expectation) {
	t.Helper()
	e := expectation{f.at, text}
	var doc, thing map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.Body), &doc))
	e.met(t, "the answer", doc)
	at, id := "/api/export/runs/", doc["runId"]
	switch {
	case strings.HasPrefix(f.path, "/api/export/profiles"):
		at, id = "/api/export/profiles/", doc["name"]
		listed["profiles"][fmt.Sprint(id)] = e
	case strings.HasPrefix(f.path, "/api/tenants"):
		at, id = "/api/tenants/", doc["tenant"]
	default:
		listed["runs"][fmt.Sprint(id)] = e
	}
	one := c.send("GET", at+fmt.Sprint(id), "")
	require.Equal(t, 200, one.Status, one.Body)
	require.NoError(t, json.Unmarshal([]byte(one.Body), &thing))
	e.met(t, "the thing", thing)
}

// requireLists reads the lists to their ends, where everything that was made must be as
// it was made.
func requireLists(t *testing.T, c *caller, listed map[string]map[string]expectation) {
	t.Helper()
	for list, wanted := range listed {
		require.Greater(t, len(wanted), 100, list)
		for cursor := ""; ; {
			var page struct {
				Runs, Profiles []map[string]any
				NextCursor     string
			}
			a := c.send("GET", "/api/export/"+list+"?limit=200"+cursor, "")
			require.NoError(t, json.Unmarshal([]byte(a.Body), &page), a.Body)
			for _, item := range append(page.Runs, page.Profiles...) {
				id, ok := item["runId"].(string)
				if !ok {
					id = fmt.Sprint(item["name"])
				}
				if e, ok := wanted[id]; ok {
					e.met(t, "the list of "+list, item)
					delete(wanted, id)
				}
			}
			if page.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + page.NextCursor
		}
		require.Empty(t, wanted, "the list of %s lacks some", list)
	}
}

// In places that are no JSON too: in the query, in headers and in paths.
func TestNaughtyStringsElsewhere(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	c.client = http.DefaultClient
	id := w.Run("acme", export.StatePending).ID
	for _, text := range testkit.NaughtyStrings() {
		if len(text) > 2000 {
			continue
		}
		query := url.QueryEscape(text)
		for _, path := range []string{
			"/api/export/runs?label=" + query, "/api/export/runs?label=k%3D" + query, "/api/export/runs?requestedBy=" + query, "/api/export/runs?cursor=" + query,
			"/api/export/runs?from=" + query, "/api/export/runs?profile=" + query, "/api/export/runs?status=" + query, "/api/export/runs?limit=" + query, "/api/export/runs?" + query + "=" + query,
			"/api/export/profiles?kind=" + query, "/api/export/profiles?cursor=" + query, "/api/ledger/documents?upstreamId=" + query, "/api/ledger/documents?purl=" + query,
			"/api/ledger/documents?source=" + query, "/api/ledger/documents?cursor=" + query, "/api/ledger/stats?asOf=" + query, "/api/audit/entries?subject=" + query, "/api/audit/entries?operation=" + query,
			"/api/export/policy-snapshots?name=" + query, "/api/export/policy-snapshots?cursor=" + query, "/api/export/policy-snapshots/" + url.PathEscape(text),
			"/api/export/policy-snapshots/" + url.PathEscape(text) + "/pack",
			"/api/export/profiles/" + url.PathEscape(text), "/api/export/runs/" + url.PathEscape(text), "/api/export/runs/" + id + "/plan?cursor=" + query,
		} {
			a := c.send("GET", path, "")
			require.Less(t, a.Status, 500, "%.200s: %s", path, a.Body)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			continue // net/http does not send it
		}
		a := c.send("POST", "/api/export/runs/"+id+"/cancel", "", "X-Stella-Reason", text)
		require.Less(t, a.Status, 500, "%.80q", text)
		a = c.send("POST", "/api/export/runs", `{"profileId":"json:raw"}`, "Idempotency-Key", text)
		require.Less(t, a.Status, 500, "%.80q", text)
	}
}
