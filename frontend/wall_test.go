package frontend_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// A foreign tenant must not be able to tell an existing thing from a random
// one: same status, headers and body, apart from trace id and time.
func TestForeignRunsLookLikeRandomIDs(t *testing.T) {
	w := frontendtest.New(t)
	finished, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	existing := map[string]string{"finished": finished.ID, "pending": w.Run("acme", export.StatePending).ID,
		"failed": w.Run("acme", export.StateFailed).ID, "expired": w.Run("acme", export.StateExpired).ID}
	stranger := newCaller(t, w, "globex")
	const random = "7b3f9a52-64f1-4bfc-9b8e-8a2f1d2c3b4a"
	for name, id := range existing {
		for _, op := range operations(id) {
			if !strings.Contains(op.path, id) {
				continue
			}
			foreign := stranger.call(op)
			op.path = strings.Replace(op.path, id, random, 1)
			absent := stranger.call(op)
			require.Equal(t, 404, foreign.Status, "%s of %s run", op.name, name)
			require.Equal(t, comparable(t, absent), comparable(t, foreign), "%s of %s run", op.name, name)
		}
	}
}

func TestForeignDocumentsLookLikeRandomDigests(t *testing.T) {
	w := frontendtest.New(t)
	owner, stranger := newCaller(t, w, "acme"), newCaller(t, w, "globex")
	doc := `{"id":"OSV-1"}`
	result := importText(t, owner, record(doc))
	require.Equal(t, int64(1), result.summary.Accepted)
	path := "/api/ledger/documents/" + digestOf(doc)
	require.Equal(t, doc, owner.send("GET", path, "").Body)
	foreign := stranger.send("GET", path, "")
	absent := stranger.send("GET", "/api/ledger/documents/sha256:"+strings.Repeat("ab", 32), "")
	require.Equal(t, 404, foreign.Status)
	require.Equal(t, comparable(t, absent), comparable(t, foreign))
}

func TestListsShowTheOwnTenantOnly(t *testing.T) {
	w := frontendtest.New(t)
	own := w.Run("globex", export.StatePending)
	w.Run("acme", export.StatePending)
	a := newCaller(t, w, "globex").send("GET", "/api/export/runs", "")
	require.Contains(t, a.Body, own.ID)
	require.NotContains(t, a.Body, "acme")
	require.Equal(t, 1, strings.Count(a.Body, `"runId"`))
}

func TestIdempotencyKeysOfTenantsDoNotMeet(t *testing.T) {
	w := frontendtest.New(t)
	one := newCaller(t, w, "acme").send("POST", "/api/export/runs", `{"profileId":"json:raw"}`, "Idempotency-Key", "k").run(t)
	two := newCaller(t, w, "globex").send("POST", "/api/export/runs", `{"profileId":"json:raw"}`, "Idempotency-Key", "k").run(t)
	require.NotEqual(t, one.RunID, two.RunID)
}

// A token for one project sees nothing of another project of its tenant.
func TestProjectClaimNarrows(t *testing.T) {
	w := frontendtest.New(t)
	other := w.Run("acme", export.StatePending)
	own := w.Run("acme", export.StatePending)
	own.Project = "web"
	w.Runs.Put(own, nil)
	claims := w.Issuer.Claims("acme", frontendtest.AllScopes...)
	claims["project"] = "web"
	c := &caller{t: t, world: w, client: w.Client(t), token: signed(t, w, claims)}
	require.Equal(t, 200, c.send("GET", "/api/export/runs/"+own.ID, "").Status)
	require.Equal(t, 404, c.send("GET", "/api/export/runs/"+other.ID, "").Status)
	require.Equal(t, 404, c.send("POST", "/api/export/runs/"+other.ID+"/cancel", "").Status)
	require.NotContains(t, c.send("GET", "/api/export/runs", "").Body, other.ID)
	require.Equal(t, "web", c.send("POST", "/api/export/runs", `{"profileId":"json:raw"}`).run(t).Project)
}

// comparable is an answer without what differs between any two answers.
func comparable(t *testing.T, a answer) [3]any {
	t.Helper()
	p := a.problem(t)
	p.TraceID, p.Timestamp = "", frontendtest.Start
	h := http.Header{}
	for name, values := range a.Header {
		if name != "Date" && name != "Content-Length" && name != "X-Stella-Request-Id" {
			h[name] = values
		}
	}
	return [3]any{a.Status, h, p}
}
