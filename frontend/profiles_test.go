package frontend_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/profiles"
)

const profilesPath = "/api/export/profiles"

func (a answer) profile(t testing.TB) frontend.Profile {
	t.Helper()
	require.Contains(t, []int{200, 201}, a.Status, a.Body)
	var p frontend.Profile
	require.NoError(t, json.Unmarshal([]byte(a.Body), &p), a.Body)
	return p
}

// nightly makes a profile; config is JSON.
func (c *caller) nightly(name, config string) frontend.Profile {
	c.t.Helper()
	a := c.send("POST", profilesPath, fmt.Sprintf(`{"name":%q,"kind":"json","variant":"raw","config":%s}`, name, config))
	require.Equal(c.t, 201, a.Status, a.Body)
	return a.profile(c.t)
}

func TestCreateProfile(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	a := c.send("POST", profilesPath, `{"name":"nightly","kind":"json","variant":"raw","config":{"include":["vex","advisories"]},
		"description":"✓ every night","labels":{"team":"red"}}`, "Idempotency-Key", "k")
	require.Equal(t, 201, a.Status, a.Body)
	p := a.profile(t)
	require.Equal(t, profilesPath+"/"+p.ID, a.Header.Get("Location"))
	require.Equal(t, `"v1"`, a.Header.Get("ETag"))
	require.Equal(t, frontend.ProfileConfig{"include": []any{"advisories", "vex"}}, p.Config)
	require.Equal(t, frontend.Labels{"team": "red"}, p.Labels)
	require.Equal(t, "tester@acme", p.CreatedBy)
	require.Equal(t, 1, p.Revision)
	for _, ref := range []string{p.ID, "nightly"} {
		require.Equal(t, p, c.send("GET", profilesPath+"/"+ref, "").profile(t))
	}
	same := c.send("POST", profilesPath, `{"name":"nightly","kind":"json","variant":"raw","config":{"include":["advisories","vex"]},
		"labels":{"team":"red"},"description":"✓ every night"}`, "Idempotency-Key", "k")
	require.Equal(t, p, same.profile(t), "the same request in other words")
	other := c.send("POST", profilesPath, `{"name":"other","kind":"json","variant":"raw"}`, "Idempotency-Key", "k")
	require.Equal(t, 422, other.Status)
	require.Equal(t, "ERR_EXPORT_021", other.problem(t).Code)
	taken := c.send("POST", profilesPath, `{"name":"nightly","kind":"json","variant":"raw"}`)
	require.Equal(t, 409, taken.Status)
	require.Equal(t, "ERR_EXPORT_009", taken.problem(t).Code)
	require.Equal(t, 201, newCaller(t, w, "globex").send("POST", profilesPath, `{"name":"nightly","kind":"json","variant":"raw"}`).Status)
}

func TestCreateProfileRefusesBadRequests(t *testing.T) {
	c := newCaller(t, frontendtest.New(t), "acme")
	with := func(rest string) string { return `{"name":"nightly","kind":"json","variant":"raw",` + rest + `}` }
	for name, test := range map[string]struct {
		body, field, says string
	}{
		"short name":        {`{"name":"ab","kind":"json","variant":"raw"}`, "name", "3 to 64"},
		"name as a path":    {`{"name":"../etc","kind":"json","variant":"raw"}`, "name", "3 to 64"},
		"name of a builtin": {`{"name":"json-raw","kind":"json","variant":"raw"}`, "name", "built-in"},
		"name as an id":     {`{"name":"0192f3c4-5d6e-7f80-9a1b-2c3d4e5f6071","kind":"json","variant":"raw"}`, "name", "reads like the id"},
		"kind of later":     {`{"name":"nightly","kind":"risk","variant":"bundle"}`, "kind", "kind risk/bundle is not served by this version"},
		"kind of nobody":    {`{"name":"nightly","kind":"json","variant":"cooked"}`, "kind", "is not a kind"},
		"config":            {with(`"config":{"include":["advisory"]}`), "config.include[0]", "must be one of"},
		"config of later":   {with(`"config":{"distribution":["http","oci"]}`), "config.distribution[1]", "oci is not served by this version"},
		"config twice":      {with(`"config":{"include":["vex"],"include":["sboms"]}`), "", "include"},
		"config no object":  {with(`"config":[]`), "", "config"},
		"large config":      {with(`"config":{"redaction":{"policyId":"` + strings.Repeat("x", 300_000) + `","allow":{}}}`), "config", "at most"},
		"control character": {with(`"description":"a\u0007b"`), "description", "control"},
		"label":             {with(`"labels":{"a b":"c"}`), "labels", "key"},
		"unknown field":     {with(`"revision":2`), "", "revision"},
	} {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			p := c.send("POST", profilesPath, test.body).problem(t)
			require.Equal(t, 400, p.Status)
			require.Equal(t, "ERR_EXPORT_001", p.Code)
			require.Contains(t, p.Message, test.says)
			if test.field != "" {
				require.Equal(t, test.field, p.Details[0].Field)
			}
		})
	}
}

func TestUpdateProfile(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	p := c.nightly("nightly", `{}`)
	path := profilesPath + "/" + p.ID
	missing := c.send("PATCH", path, `{"description":"x"}`)
	require.Equal(t, 428, missing.Status)
	require.Equal(t, "ERR_EXPORT_022", missing.problem(t).Code)
	for _, bad := range []string{"v1", `"v1", "v2"`, `"a`} {
		require.Equal(t, 400, c.send("PATCH", path, `{"description":"x"}`, "If-Match", bad).Status, bad)
	}
	for _, other := range []string{`"v2"`, `W/"v1"`, `"v01"`, `"x"`, `""`} {
		a := c.send("PATCH", path, `{"description":"x"}`, "If-Match", other)
		require.Equal(t, 412, a.Status, other)
		require.Equal(t, "ERR_EXPORT_023", a.problem(t).Code)
	}
	a := c.send("PATCH", path, `{"description":"by day","labels":{"a":"b"}}`, "If-Match", `"v1"`)
	require.Equal(t, `"v2"`, a.Header.Get("ETag"))
	require.Equal(t, 1, a.profile(t).Revision, "in place")
	a = c.send("PATCH", path, `{"config":{"include":["vex"]}}`, "If-Match", `"v2"`)
	changed := a.profile(t)
	require.Equal(t, 2, changed.Revision)
	require.Equal(t, "by day", changed.Description, "what is absent stays")
	require.Equal(t, frontend.Labels{"a": "b"}, changed.Labels)
	require.Equal(t, `"v3"`, c.send("PATCH", path, `{"config":{"include":["vex"]},"description":"by day"}`, "If-Match", `"v3"`).Header.Get("ETag"), "says nothing new")
	require.Empty(t, c.send("PATCH", path, `{"labels":{},"description":""}`, "If-Match", "*").profile(t).Labels)
	require.Equal(t, "ERR_EXPORT_001", c.send("PATCH", path, `{"config":{"include":["x"]}}`, "If-Match", "*").problem(t).Code)
	require.Equal(t, 400, c.send("PATCH", path, `{"name":"other"}`, "If-Match", "*").Status)

	var page frontend.RevisionPage
	require.NoError(t, json.Unmarshal([]byte(c.send("GET", path+"/revisions?limit=1", "").Body), &page))
	require.Equal(t, 2, page.Revisions[0].Revision)
	var last frontend.RevisionPage
	require.NoError(t, json.Unmarshal([]byte(c.send("GET", path+"/revisions?cursor="+page.NextCursor, "").Body), &last))
	require.Equal(t, 1, last.Revisions[0].Revision)
	require.Equal(t, frontend.ProfileConfig{}, last.Revisions[0].Config, "the first revision is what it was")
	require.Empty(t, last.NextCursor)
	for _, bad := range []string{"0", "-1", "01", "x", "%00"} {
		require.Equal(t, 400, c.send("GET", path+"/revisions?cursor="+bad, "").Status, bad)
	}
}

// Of many who change what they all have read, one succeeds.
func TestNoChangeOfAProfileIsLost(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	p := c.nightly("nightly", `{}`)
	var changed, refused atomic.Int64
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			a := c.send("PATCH", profilesPath+"/nightly", fmt.Sprintf(`{"description":"%d"}`, n), "If-Match", `"v1"`)
			switch a.Status {
			case 200:
				changed.Add(1)
			case 412:
				refused.Add(1)
			}
		})
	}
	all.Wait()
	require.Equal(t, [2]int64{1, 7}, [2]int64{changed.Load(), refused.Load()})
	require.Equal(t, `"v2"`, c.send("GET", profilesPath+"/"+p.ID, "").Header.Get("ETag"))
}

func TestArchiveProfile(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	p := c.nightly("nightly", `{}`)
	path := profilesPath + "/" + p.ID
	before := c.send("POST", runsPath, `{"profileId":"nightly"}`, "Idempotency-Key", "k").run(t)
	require.Equal(t, 412, c.send("DELETE", path, "", "If-Match", `"v7"`).Status)
	archived := c.send("DELETE", path, "").profile(t)
	require.True(t, archived.Archived)
	require.Equal(t, "tester@acme", archived.ArchivedBy)
	require.Equal(t, archived, c.send("DELETE", path, "").profile(t), "twice is once")
	require.Equal(t, archived, c.send("GET", profilesPath+"/nightly", "").profile(t))
	require.Equal(t, 409, c.send("PATCH", path, `{"description":"x"}`, "If-Match", "*").Status)

	refused := c.send("POST", runsPath, `{"profileId":"nightly"}`)
	require.Equal(t, 409, refused.Status)
	require.Equal(t, "ERR_EXPORT_009", refused.problem(t).Code)
	require.Equal(t, 409, c.send("POST", runsPath, `{"profileId":"nightly","options":{"dryRun":true}}`).Status)
	again := c.send("POST", runsPath, `{"profileId":"nightly"}`, "Idempotency-Key", "k")
	require.Equal(t, before.RunID, again.run(t).RunID, "what was promised stays promised")
	require.Equal(t, 409, c.send("POST", runsPath, `{"profileId":"nightly"}`, "Idempotency-Key", "other").Status)

	list := func(query string) string { return c.send("GET", profilesPath+query, "").Body }
	require.NotContains(t, list(""), p.ID)
	require.Contains(t, list("?archived=include"), p.ID)
	require.Equal(t, 1, strings.Count(list("?archived=only"), `"builtIn"`))
	for _, ref := range []string{"prof-json-raw", "json:raw"} {
		require.Equal(t, 409, c.send("DELETE", profilesPath+"/"+ref, "").Status, "built in")
		require.Equal(t, 409, c.send("PATCH", profilesPath+"/"+ref, `{}`, "If-Match", "*").Status)
	}
}

func TestListProfiles(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	for _, name := range []string{"b-one", "k-two", "z-three"} {
		c.nightly(name, `{}`)
	}
	var names []string
	path := profilesPath + "?limit=1&kind=json&variant=raw"
	for next := path; next != ""; {
		var page frontend.ProfilePage
		require.NoError(t, json.Unmarshal([]byte(c.send("GET", next, "").Body), &page))
		for _, p := range page.Profiles {
			names = append(names, p.Name)
		}
		if next = ""; page.NextCursor != "" {
			next = path + "&cursor=" + page.NextCursor
		}
	}
	require.Equal(t, []string{"b-one", "json-raw", "k-two", "z-three"}, names)
	require.NotContains(t, c.send("GET", profilesPath+"?kind=trivy", "").Body, "b-one")
	for _, bad := range []string{"limit=0", "limit=201", "archived=maybe", "kind=", "cursor=x", "cursor=%00", "variant=%07"} {
		require.Equal(t, 400, c.send("GET", profilesPath+"?"+bad, "").Status, bad)
	}
}

// A foreign tenant's profile and one that nobody has are answered alike, and so
// is one of another project.
func TestForeignProfilesLookAbsent(t *testing.T) {
	w := frontendtest.New(t)
	owner, stranger := newCaller(t, w, "acme"), newCaller(t, w, "globex")
	p := owner.nightly("nightly", `{}`)
	claims := w.Issuer.Claims("acme", frontendtest.AllScopes...)
	claims["project"] = "web"
	inProject := &caller{t: t, world: w, client: w.Client(t), token: signed(t, w, claims)}
	for _, c := range []*caller{stranger, inProject} {
		for _, refs := range [][2]string{{p.ID, "7b3f9a52-64f1-4bfc-9b8e-8a2f1d2c3b4a"}, {"nightly", "nothing"}} {
			for _, op := range [][3]string{{"GET", "", ""}, {"PATCH", "", `{"description":"x"}`}, {"DELETE", "", ""}, {"GET", "/revisions", ""}} {
				foreign := c.send(op[0], profilesPath+"/"+refs[0]+op[1], op[2], "If-Match", "*")
				absent := c.send(op[0], profilesPath+"/"+refs[1]+op[1], op[2], "If-Match", "*")
				require.Equal(t, 404, foreign.Status, op)
				require.Equal(t, comparable(t, absent), comparable(t, foreign), op)
			}
			run := func(ref string) answer { return c.send("POST", runsPath, `{"profileId":"`+ref+`"}`) }
			require.Equal(t, comparable(t, run(refs[1])), comparable(t, run(refs[0])))
		}
		require.NotContains(t, c.send("GET", profilesPath+"?archived=include", "").Body, p.ID)
	}
	require.Equal(t, p, owner.send("GET", profilesPath+"/nightly", "").profile(t), "nothing of it was done")
}

func TestProfileSchemaIsPublished(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	link := c.nightly("nightly", `{}`).Links.Schema
	c.token = ""
	a := c.send("GET", link, "")
	require.Equal(t, 200, a.Status)
	require.Equal(t, "application/schema+json", a.Header.Get("Content-Type"))
	text, _ := profiles.Schema("json-raw.json")
	require.Equal(t, string(text), a.Body)
	require.Equal(t, `"`+bundle.DigestOf(text).String()+`"`, a.Header.Get("ETag"))
	require.Empty(t, a.Header.Get("X-Stella-Immutability"))
	require.Equal(t, 304, c.send("GET", link, "", "If-None-Match", a.Header.Get("ETag")).Status)
	for _, name := range []string{"risk-bundle.json", "..%2fprofiles.go", "%00", "json-raw"} {
		require.Equal(t, 404, c.send("GET", "/schemas/export-profile/"+name, "").Status, name)
	}
	require.Equal(t, export.CodeProfileNotFound, export.Code(c.send("GET", "/schemas/export-profile/x.json", "").problem(t).Code))
}
