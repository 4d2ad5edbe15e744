package frontend_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
)

const policiesPath = "/api/export/policy-snapshots"

func (a answer) policy(t testing.TB) frontend.PolicySnapshot {
	t.Helper()
	require.Contains(t, []int{200, 201}, a.Status, a.Body)
	var p frontend.PolicySnapshot
	require.NoError(t, json.Unmarshal([]byte(a.Body), &p), a.Body)
	return p
}

func (a answer) policies(t testing.TB) frontend.PolicySnapshotPage {
	t.Helper()
	require.Equal(t, 200, a.Status, a.Body)
	var page frontend.PolicySnapshotPage
	require.NoError(t, json.Unmarshal([]byte(a.Body), &page), a.Body)
	return page
}

// pack sends a policy pack; query begins with its name.
func (c *caller) pack(query, pack string, headers ...string) answer {
	c.t.Helper()
	return c.send("POST", policiesPath+"?name="+query, pack, append([]string{"Content-Type", "application/gzip"}, headers...)...)
}

func TestImportPolicySnapshot(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	pack := frontendtest.Pack("2026-11-01", "deny\x00\xff")
	a := c.pack("blocking&description="+url.QueryEscape("✓ what we block"), pack, "Idempotency-Key", "k")
	require.Equal(t, 201, a.Status, a.Body)
	s := a.policy(t)
	require.Equal(t, policiesPath+"/"+s.ID, a.Header.Get("Location"))
	require.Equal(t, frontend.PolicySnapshot{ID: s.ID, Name: "blocking", Version: "2026-11-01", Digest: bundle.DigestOf([]byte(pack)).String(), Bytes: int64(len(pack)),
		Description: "✓ what we block", CreatedBy: "tester@acme", CreatedAt: s.CreatedAt,
		Links: frontend.PolicySnapshotLinks{Self: policiesPath + "/" + s.ID, Pack: policiesPath + "/" + s.ID + "/pack"}}, s)
	require.Equal(t, s, c.send("GET", s.Links.Self, "").policy(t))

	for name, again := range map[string]answer{
		"with its key":    c.pack("blocking&description="+url.QueryEscape("✓ what we block"), pack, "Idempotency-Key", "k"),
		"without":         c.pack("blocking", pack),
		"as other bytes":  c.send("POST", policiesPath+"?name=blocking", pack, "Content-Type", "application/octet-stream"),
		"with a new key ": c.pack("blocking", pack, "Idempotency-Key", "other"),
	} {
		require.Equal(t, 200, again.Status, name)
		require.Equal(t, s, again.policy(t), name)
		require.Equal(t, s.Links.Self, again.Header.Get("Location"))
	}
	used := c.pack("other", pack, "Idempotency-Key", "k")
	require.Equal(t, 422, used.Status)
	require.Equal(t, "ERR_EXPORT_021", used.problem(t).Code)

	other := c.pack("blocking", frontendtest.Pack("2026-11-01", "allow"))
	require.Equal(t, 409, other.Status)
	p := other.problem(t)
	require.Equal(t, "ERR_EXPORT_009", p.Code)
	require.Contains(t, p.Message, `has version "2026-11-01" already, of another pack (`+s.Digest+`)`)
	require.NotEqual(t, s.ID, c.pack("blocking", frontendtest.Pack("2026-11-02", "allow")).policy(t).ID)
	require.Equal(t, 201, newCaller(t, w, "globex").pack("blocking", pack).Status)

	var events []audit.Event
	for _, e := range entriesOf(t, w, "acme") {
		if e.Operation == "ImportPolicySnapshot" {
			events = append(events, e.Event)
		}
	}
	require.Len(t, events, 16, "each of eight calls is in the record, before and after")
}

func TestImportPolicySnapshotRefusesBadPacks(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	good := frontendtest.Pack("1", "allow")
	for name, test := range map[string]struct {
		query, pack string
		status      int
		code, says  string
	}{
		"no pack":        {"blocking", "PK", 422, "ERR_EXPORT_005", "policy pack: it is not a .tar.gz file"},
		"a function":     {"blocking", frontendtest.Pack("1", "x := http.send({})\x1b[31m"), 422, "ERR_EXPORT_005", "decision.rego:3: http.send is not allowed: x := http.send({}) [31m"},
		"long refusal":   {"blocking", frontendtest.Pack("1", "http.send"+strings.Repeat("é", 5000)), 422, "ERR_EXPORT_005", " ..."},
		"short name":     {"ab", good, 400, "ERR_EXPORT_001", "name: "},
		"a path":         {"..%2f..%2fetc", good, 400, "ERR_EXPORT_001", "name: "},
		"built in":       {"baseline", good, 400, "ERR_EXPORT_001", "the built-in policy snapshot"},
		"like an id":     {"policy-x", good, 400, "ERR_EXPORT_001", "reads like the id"},
		"description":    {"blocking&description=a%07", good, 400, "ERR_EXPORT_001", "description: "},
		"long text":      {"blocking&description=" + strings.Repeat("x", 1025), good, 400, "ERR_EXPORT_001", "description: "},
		"version":        {"blocking", frontendtest.Pack("a\x1b", "allow"), 400, "ERR_EXPORT_001", "version: "},
		"no version":     {"blocking", frontendtest.Pack("", "allow"), 400, "ERR_EXPORT_001", "version: "},
		"too large":      {"blocking", frontendtest.Pack("1", strings.Repeat("x", export.MaxPolicyPack)), 413, "ERR_EXPORT_020", "4194304"},
		"compiler":       {"blocking", frontendtest.Pack("1", "broken"), 500, "ERR_EXPORT_INTERNAL", "its log has the reason"},
		"key of no form": {"blocking", good, 400, "ERR_EXPORT_001", "Idempotency-Key"},
	} {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			key := "k"
			if name == "key of no form" {
				key = "a b"
			}
			a := c.pack(test.query, test.pack, "Idempotency-Key", key)
			require.Equal(t, test.status, a.Status, a.Body)
			p := a.problem(t)
			require.Equal(t, test.code, p.Code)
			require.Contains(t, p.Message, test.says)
			require.Less(t, len(p.Message), 5000)
		})
	}
	require.Equal(t, 422, c.pack("blocking", "").Status, "no bytes")
	require.Equal(t, 415, c.send("POST", policiesPath+"?name=blocking", good).Status)
	require.Equal(t, 400, c.send("POST", policiesPath, good, "Content-Type", "application/gzip").Status, "no name")
	require.Len(t, c.send("GET", policiesPath+"?archived=include", "").policies(t).PolicySnapshots, 1, "nothing was kept")
	full := frontendtest.Pack("1", strings.Repeat("x", export.MaxPolicyPack-len("pack 1\n")))
	require.Len(t, full, export.MaxPolicyPack)
	require.Equal(t, 201, c.pack("blocking", full).Status, "the largest")
}

func TestPolicyPackIsGivenAsImported(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	pack := frontendtest.Pack("1", "\x00\x1f\x8b binary")
	s := c.pack("blocking", pack).policy(t)
	a := c.send("GET", s.Links.Pack, "")
	require.Equal(t, 200, a.Status)
	require.Equal(t, pack, a.Body)
	require.Equal(t, `"`+s.Digest+`"`, a.Header.Get("ETag"))
	require.Equal(t, "application/gzip", a.Header.Get("Content-Type"))
	require.Contains(t, a.Header.Get("Content-Disposition"), ".tar.gz")
	require.Equal(t, "true", a.Header.Get("X-Stella-Immutability"))
	require.Equal(t, 304, c.send("GET", s.Links.Pack, "", "If-None-Match", `"`+s.Digest+`"`).Status)
	require.Equal(t, 412, c.send("GET", s.Links.Pack, "", "If-Match", `"other"`).Status)
	builtin := c.send("GET", policiesPath+"/policy-baseline/pack", "")
	require.Equal(t, string(frontendtest.Baseline().Pack), builtin.Body)
	require.Empty(t, builtin.Header.Get("X-Stella-Immutability"), "the next release may have another")

	w.Policies.Rot("acme", s.ID)
	rotten := c.send("GET", s.Links.Pack, "")
	require.Equal(t, 500, rotten.Status, "other bytes are not given")
	require.NotContains(t, rotten.Body, "binary")
}

func TestListAndArchivePolicySnapshots(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	for _, place := range [][2]string{{"aaa", "1"}, {"ccc", "2"}, {"ccc", "1"}} {
		c.pack(place[0], frontendtest.Pack(place[1], place[0])).policy(t)
	}
	var places []string
	var last frontend.PolicySnapshot
	for next := policiesPath + "?limit=1"; next != ""; {
		page := c.send("GET", next, "").policies(t)
		require.Len(t, page.PolicySnapshots, 1)
		last = page.PolicySnapshots[0]
		places = append(places, last.Name+" "+last.Version)
		if next = ""; page.NextCursor != "" {
			next = policiesPath + "?limit=1&cursor=" + page.NextCursor
		}
	}
	require.Equal(t, []string{"aaa 1", "baseline baseline-1", "ccc 1", "ccc 2"}, places)

	archived := c.send("DELETE", last.Links.Self, "").policy(t)
	require.True(t, archived.Archived)
	require.Equal(t, "tester@acme", archived.ArchivedBy)
	w.SetTime(frontendtest.Start.AddDate(0, 0, 1))
	require.Equal(t, archived, newCaller(t, w, "acme").send("DELETE", last.Links.Self, "").policy(t), "twice is once")
	c = newCaller(t, w, "acme")
	require.Equal(t, archived, c.send("GET", last.Links.Self, "").policy(t))
	require.Equal(t, archived, c.pack("ccc", frontendtest.Pack("2", "ccc")).policy(t), "an import does not bring it back")
	require.Equal(t, 200, c.send("GET", last.Links.Pack, "").Status)
	count := func(query string) int { return len(c.send("GET", policiesPath+query, "").policies(t).PolicySnapshots) }
	require.Equal(t, [4]int{3, 4, 1, 1}, [4]int{count(""), count("?archived=include"), count("?archived=only"), count("?name=ccc")})
	for _, bad := range []string{"limit=0", "limit=201", "archived=maybe", "name=", "cursor=x", "cursor=%00", "name=%07", "cursor=" + strings.Repeat("x", 2000)} {
		require.Equal(t, 400, c.send("GET", policiesPath+"?"+bad, "").Status, bad)
	}
	refused := c.send("DELETE", policiesPath+"/policy-baseline", "")
	require.Equal(t, 409, refused.Status)
	require.Contains(t, refused.problem(t).Message, "built in")
}

// A foreign tenant's snapshot and one that nobody has are answered alike, and so is one
// of another project; no run can name it.
func TestForeignPolicySnapshotsLookAbsent(t *testing.T) {
	w := frontendtest.New(t)
	owner, stranger := newCaller(t, w, "acme"), newCaller(t, w, "globex")
	pack := frontendtest.Pack("1", "allow")
	s := owner.pack("blocking", pack).policy(t)
	claims := w.Issuer.Claims("acme", frontendtest.AllScopes...)
	claims["project"] = "web"
	inProject := &caller{t: t, world: w, client: w.Client(t), token: signed(t, w, claims)}
	const nobodys = "7b3f9a52-64f1-4bfc-9b8e-8a2f1d2c3b4a"
	decides(t, w, "globex", "")
	decides(t, w, "acme", "web")
	for _, c := range []*caller{stranger, inProject} {
		for _, id := range []string{nobodys, "blocking", "..%2f..", "%00", strings.ToUpper(s.ID)} {
			for _, op := range [][2]string{{"GET", ""}, {"GET", "/pack"}, {"DELETE", ""}} {
				foreign, absent := c.send(op[0], s.Links.Self+op[1], ""), c.send(op[0], policiesPath+"/"+id+op[1], "")
				require.Equal(t, 404, foreign.Status, op)
				require.Equal(t, "ERR_EXPORT_024", foreign.problem(t).Code)
				require.Equal(t, comparable(t, absent), comparable(t, foreign), op)
			}
		}
		foreign, absent := c.runBy(s.ID, "optional").problem(t), c.runBy(nobodys, "optional").problem(t)
		require.Equal(t, [2]any{422, "ERR_EXPORT_005"}, [2]any{foreign.Status, foreign.Code})
		require.Equal(t, strings.ReplaceAll(absent.Message, nobodys, s.ID), foreign.Message)
		require.Len(t, c.send("GET", policiesPath+"?archived=include", "").policies(t).PolicySnapshots, 1)
	}
	require.Equal(t, s, owner.send("GET", s.Links.Self, "").policy(t), "nothing of it was done")
	taken := inProject.pack("blocking", pack)
	require.Equal(t, 409, taken.Status, "the name is the tenant's")
	require.NotContains(t, taken.Body, s.ID)
	own := inProject.pack("webs", pack).policy(t)
	require.Equal(t, "web", own.Project)
	require.Equal(t, 200, inProject.send("GET", own.Links.Self, "").Status)
	require.Equal(t, 200, owner.send("GET", own.Links.Self, "").Status)
}

// Stores that fail are answered as such, and so are places that are taken.
func TestPolicySnapshotsOfABrokenStore(t *testing.T) {
	w := frontendtest.New(t, func(c *frontend.Config) { c.Policies = broken{c.Policies} })
	c := newCaller(t, w, "acme")
	require.Equal(t, 500, c.pack("blocking", frontendtest.Pack("1", "x")).Status)
	for _, op := range [][2]string{{"GET", ""}, {"GET", "/" + absentID}, {"GET", "/" + absentID + "/pack"}, {"DELETE", "/" + absentID}} {
		require.Equal(t, 500, c.send(op[0], policiesPath+op[1], "").Status, op)
	}
}

// One tenant's packs are compiled one after the other.
func TestPacksAreCompiledOneAtATime(t *testing.T) {
	var atWork, most int
	var mu sync.Mutex
	begun := make(chan struct{}, 8)
	goOn := make(chan struct{})
	w := frontendtest.New(t, func(c *frontend.Config) {
		c.CheckPack = func(pack []byte) (string, error) {
			mu.Lock()
			atWork++
			most = max(most, atWork)
			mu.Unlock()
			begun <- struct{}{}
			<-goOn
			mu.Lock()
			atWork--
			mu.Unlock()
			return frontendtest.CheckPack(pack)
		}
	})
	var all sync.WaitGroup
	for _, name := range []string{"one", "two", "three"} {
		c := newCaller(t, w, "acme")
		all.Go(func() {
			if a := c.pack(name, frontendtest.Pack("1", name)); a.Status != http.StatusCreated {
				t.Error(a.Body)
			}
		})
	}
	for range 3 {
		<-begun
		goOn <- struct{}{}
	}
	all.Wait()
	require.Equal(t, 1, most)
}

// broken is a store that always fails.
type broken struct{ storage.PolicySnapshots }

var errDisk = errors.New("the disk says no")

func (broken) ImportSnapshot(context.Context, export.PolicySnapshot, []byte, storage.Idempotency) (export.PolicySnapshot, bool, error) {
	return export.PolicySnapshot{}, false, errDisk
}

func (broken) GetSnapshot(context.Context, string, string) (export.PolicySnapshot, error) {
	return export.PolicySnapshot{}, errDisk
}

func (broken) ListSnapshots(context.Context, string, storage.SnapshotFilter) ([]export.PolicySnapshot, string, error) {
	return nil, "", errDisk
}
