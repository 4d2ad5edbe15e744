package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
)

// neighbour is a tenant of the house with one of everything that has an id.
type neighbour struct {
	name, token string
	canary      string            // in all that it has
	ids         map[string]string // by kind: run, profile, document, record, key, cursor
}

// absentIDs are of the same forms, and nobody's.
var absentIDs = map[string]string{
	"run":      "7b3f9a52-64f1-4bfc-9b8e-8a2f1d2c3b4a",
	"profile":  "5d1c7c1e-90a2-4bb5-8f37-2a3d8d1f6e01",
	"name":     "canary-of-nobody",
	"document": "sha256:" + strings.Repeat("ab", 32),
	"key":      "sha256:" + strings.Repeat("cd", 32),
	"tenant":   "wall-x",
}

// TestTenantsAreWalls asks, as each of five tenants, for the things of the others:
// every address of the OpenAPI document with every kind of id in every place, by
// every method, and every filter and body that can name a thing. What is foreign is
// answered as what is absent, and nothing of anybody else's is in any answer.
func TestTenantsAreWalls(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	h := openHouse(t)
	var all []*neighbour
	for _, name := range []string{"wall-a", "wall-b", "wall-c", "wall-d", "wall-e"} {
		all = append(all, h.settle(t, name))
	}
	prober := &wallProber{house: h, all: all}
	t.Run("asked by", func(t *testing.T) {
		for i, who := range all {
			others := []*neighbour{all[(i+1)%len(all)], all[(i+2)%len(all)]}
			t.Run(who.name, func(t *testing.T) {
				t.Parallel()
				prober.paths(t, who, others)
				prober.filters(t, who, others)
				prober.bodies(t, who, others)
			})
		}
	})
	t.Logf("%d probes by %d tenants, 0 canaries", prober.probes.Load(), len(all))
	require.GreaterOrEqual(t, prober.probes.Load(), int64(3000))
}

// settle gives a tenant one of everything.
func (h *house) settle(t *testing.T, name string) *neighbour {
	t.Helper()
	n := &neighbour{name: name, token: h.tokenFor(t, name), canary: "canary-of-" + name, ids: map[string]string{"tenant": name}}
	file := filepath.Join(t.TempDir(), "doc.json")
	document := fmt.Sprintf(`{"id":"EXC-%s","modified":"2026-01-01T00:00:00Z","summary":"%s","affected":[{"package":{"ecosystem":"npm","name":"%s"}}]}`, n.canary, n.canary, n.canary)
	require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
	out, code := h.stellaAs(t, n.token, "ledger", "import", "--stream", n.canary, file)
	require.Zero(t, code, "%s", out)

	profile := h.post(t, n, "/api/export/profiles", fmt.Sprintf(`{"name":"%s","kind":"json","variant":"raw","config":{"distribution":["http"]},"description":"%s"}`, n.canary, n.canary))
	n.ids["profile"], n.ids["name"] = profile["id"].(string), n.canary
	out, code = h.stellaAs(t, n.token, "export", "run", n.canary, "--label", "of="+n.canary, "--wait", "--format", "json")
	require.Zero(t, code, "%s", out)
	var run struct{ RunID string }
	require.NoError(t, json.Unmarshal(out, &run))
	n.ids["run"] = run.RunID

	documents := h.get(t, n, "/api/ledger/documents")
	n.ids["document"] = documents["documents"].([]any)[0].(map[string]any)["digest"].(string)
	records := h.get(t, n, "/internal/orchestrator/exports")
	if listed, _ := records["records"].([]any); len(listed) > 0 {
		n.ids["key"], _ = listed[0].(map[string]any)["idempotencyKey"].(string)
	}
	require.NotEmpty(t, n.ids["key"], "our own run is reported: %v", records)
	return n
}

func (h *house) post(t *testing.T, n *neighbour, path, body string) map[string]any {
	t.Helper()
	status, _, answer := h.call(t, n, "POST", path, body)
	require.Less(t, status, 300, "%s: %s", path, answer)
	return decoded(t, answer)
}

func (h *house) get(t *testing.T, n *neighbour, path string) map[string]any {
	t.Helper()
	status, _, answer := h.call(t, n, "GET", path, "")
	require.Equal(t, 200, status, "%s: %s", path, answer)
	return decoded(t, answer)
}

func decoded(t *testing.T, raw []byte) (object map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(raw, &object), "%s", raw)
	return object
}

// call sends a request as n; headers come in pairs. One that comes too often waits.
func (h *house) call(t *testing.T, n *neighbour, method, path, body string, headers ...string) (int, http.Header, []byte) {
	t.Helper()
	for {
		request, err := http.NewRequest(method, h.env["STELLA_SERVER"]+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+n.token)
		request.Header.Set("X-Stella-Tenant", n.name)
		if body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		for i := 0; i+1 < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		raw, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		require.NoError(t, err)
		if answer.StatusCode == http.StatusTooManyRequests {
			time.Sleep(time.Second)
			continue
		}
		return answer.StatusCode, answer.Header, raw
	}
}

type wallProber struct {
	*house
	all    []*neighbour
	probes atomic.Int64
}

var pathParameter = regexp.MustCompile(`\{[a-zA-Z]+\}`)

// paths puts ids of every kind into every address, by every method.
func (p *wallProber) paths(t *testing.T, who *neighbour, others []*neighbour) {
	doc, err := openapi3.NewLoader().LoadFromData(frontend.Spec)
	require.NoError(t, err)
	for _, template := range slices.Sorted(maps.Keys(doc.Paths.Map())) {
		if !pathParameter.MatchString(template) {
			continue
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"} {
			for _, kind := range slices.Sorted(maps.Keys(absentIDs)) {
				address := func(id string) string { return pathParameter.ReplaceAllLiteralString(template, id) }
				absent := p.shape(t, who, method, address(absentIDs[kind]), "{}", absentIDs[kind])
				for _, other := range others {
					foreign := p.shape(t, who, method, address(other.ids[kind]), "{}", other.ids[kind])
					require.Equal(t, absent, foreign, "%s asks %s %s for the %s of %s", who.name, method, template, kind, other.name)
				}
			}
		}
	}
}

// filters puts them into every parameter of every list.
func (p *wallProber) filters(t *testing.T, who *neighbour, others []*neighbour) {
	for _, filter := range []struct{ address, kind string }{
		{"/api/export/runs?profile=%s", "profile"}, {"/api/export/runs?profile=%s", "name"},
		{"/api/export/runs?label=of%%3D%s", "name"}, {"/api/export/runs?requestedBy=%s", "name"},
		{"/api/export/profiles?kind=%s", "name"}, {"/api/ledger/documents?stream=%s", "name"},
		{"/api/ledger/documents?upstreamId=EXC-%s", "name"}, {"/api/ledger/documents?purl=pkg:npm/%s", "name"},
		{"/api/ledger/documents?ecosystem=%s", "name"}, {"/api/audit/entries?subject=%s", "name"},
		{"/internal/orchestrator/exports?artifactHash=%s", "document"}, {"/internal/orchestrator/exports?runId=%s", "run"},
		{"/v1/exports/runs?cursor=%s", "run"}, {"/api/export/runs?cursor=%s", "run"},
	} {
		absent := p.shape(t, who, "GET", fmt.Sprintf(filter.address, absentIDs[filter.kind]), "", absentIDs[filter.kind])
		for _, other := range others {
			foreign := p.shape(t, who, "GET", fmt.Sprintf(filter.address, other.ids[filter.kind]), "", other.ids[filter.kind])
			require.Equal(t, absent, foreign, "%s lists %s of %s", who.name, filter.address, other.name)
		}
	}
}

// bodies names them in what is asked for, and in the header that names the tenant.
func (p *wallProber) bodies(t *testing.T, who *neighbour, others []*neighbour) {
	for _, body := range []struct{ text, kind string }{
		{`{"profileId":"%s","options":{"dryRun":true}}`, "profile"}, {`{"profileId":"%s","options":{"dryRun":true}}`, "name"},
		{`{"profileId":"json:raw","options":{"dryRun":true},"selectors":{"products":["pkg:npm/%s"]}}`, "name"},
		{`{"profileId":"json:raw","options":{"dryRun":true},"selectors":{"include":["EXC-%s"]}}`, "name"},
		{`{"profileId":"json:raw","options":{"dryRun":true},"selectors":{"tenants":["%s"]}}`, "tenant"},
	} {
		absent := p.shape(t, who, "POST", "/api/export/runs", fmt.Sprintf(body.text, absentIDs[body.kind]), absentIDs[body.kind])
		for _, other := range others {
			foreign := p.shape(t, who, "POST", "/api/export/runs", fmt.Sprintf(body.text, other.ids[body.kind]), other.ids[body.kind])
			require.Equal(t, absent, foreign, "%s asks for %s of %s", who.name, body.text, other.name)
		}
	}
	for _, other := range others {
		for _, name := range []string{"X-Stella-Tenant", "X-StellaOps-Tenant"} {
			status, _, raw := p.call(t, who, "GET", "/api/export/runs", "", name, other.name)
			p.probes.Add(1)
			require.Equal(t, 403, status, "%s as %s", who.name, other.name)
			p.search(t, who, raw, "")
		}
	}
}

// shape is an answer without what differs every time, and without the id that was
// sent. It must hold nothing of anybody else's.
func (p *wallProber) shape(t *testing.T, who *neighbour, method, address, body, id string) string {
	t.Helper()
	status, header, raw := p.call(t, who, method, address, body)
	p.probes.Add(1)
	p.search(t, who, raw, id)
	p.search(t, who, []byte(fmt.Sprint(header)), id)
	require.Less(t, status, 500, "%s %s: %s", method, address, raw)
	for _, name := range []string{"Date", "Content-Length", "X-Stella-Request-Id"} {
		header.Del(name)
	}
	var object map[string]any
	if json.Unmarshal(raw, &object) == nil {
		delete(object, "traceId")
		delete(object, "timestamp")
		raw, _ = json.Marshal(object)
	}
	text := fmt.Sprintf("%d\n%v\n%s", status, header, raw)
	return strings.ReplaceAll(text, id, "<id>")
}

// search looks for what belongs to others, beside what the caller has sent itself.
func (p *wallProber) search(t *testing.T, who *neighbour, raw []byte, sent string) {
	t.Helper()
	if sent != "" {
		raw = bytes.ReplaceAll(raw, []byte(sent), nil)
	}
	for _, other := range p.all {
		if other == who {
			continue
		}
		require.NotContains(t, string(raw), other.canary)
		for kind, id := range other.ids {
			require.NotContains(t, string(raw), id, "the %s of %s", kind, other.name)
		}
	}
}
