package frontend_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

const removalsPath = "/api/ledger/removals"

// removalOf asks for documents of stream npm to be removed.
func removalOf(member string, ids ...string) string {
	var documents []string
	for _, id := range ids {
		documents = append(documents, fmt.Sprintf(`{"source":"osv","stream":"npm","kind":"advisory","upstreamId":%q}`, id))
	}
	return `{` + member + `"documents":[` + strings.Join(documents, ",") + `]}`
}

func remove(t testing.TB, c *caller, body string) (result frontend.RemovalResult) {
	t.Helper()
	a := c.send("POST", removalsPath, body, "Content-Type", "application/json")
	require.Equal(t, 200, a.Status, a.Body)
	require.NoError(t, json.Unmarshal([]byte(a.Body), &result))
	return result
}

func TestRemoveDocuments(t *testing.T) {
	w := frontendtest.New(t)
	evidence(t, w, "acme", 6) // npm A-00 (modified in January, then in February), A-01, A-03, A-04; pypi
	c := newCaller(t, w, "acme")
	january := `"time":"2026-01-02T00:00:00Z","reason":"withdrawn",`
	got := remove(t, c, removalOf(january, "A-00", "A-01", "A-02", "A-01", "A-03"))
	require.Equal(t, []int64{5, 2, 1, 1, 1}, []int64{got.Read, got.Removed, got.Unchanged, got.Superseded, got.Absent})
	require.Len(t, got.Errors, 2, "in the order of the request")
	require.Equal(t, 1, got.Errors[0].Document)
	require.Equal(t, "A-00", got.Errors[0].Identity.UpstreamID)
	require.Contains(t, got.Errors[0].Reason, "was modified at 2026-02-")
	require.Equal(t, 3, got.Errors[1].Document)
	require.Equal(t, frontend.DocumentIdentity{Source: "osv", Stream: "npm", Kind: "advisory", UpstreamID: "A-02"}, got.Errors[1].Identity)
	require.Contains(t, got.Errors[1].Reason, "no document")
	again := remove(t, c, removalOf(january, "A-01", "A-03"))
	require.Equal(t, []int64{2, 0, 2}, []int64{again.Read, again.Removed, again.Unchanged})
	require.EqualValues(t, 1, remove(t, c, removalOf("", "A-01")).Unchanged, "no time was stated")
	require.EqualValues(t, 1, remove(t, c, removalOf("", "A-00")).Removed, "now")

	require.Equal(t, []string{"A-02", "A-04", "A-05"}, list(t, c, ""))
	require.Equal(t, []string{"A-01", "A-03", "A-00"}, list(t, c, "removed=true"))
	require.Equal(t, []string{"A-00", "A-01", "A-02", "A-03", "A-04", "A-05"}, list(t, c, "asOf=6"))
	require.Empty(t, list(t, c, "upstreamId=A-01&removed=false"))
	page := read[frontend.DocumentPage](t, c, "/api/ledger/documents?asOf=9&upstreamId=A-01")
	if len(page.Documents) == 0 {
		page = read[frontend.DocumentPage](t, c, "/api/ledger/documents?upstreamId=A-01&cursor="+page.NextCursor)
	}
	require.Len(t, page.Documents, 1, "who asks for one document learns that it was removed")
	gone := page.Documents[0]
	require.Equal(t, &frontend.DocumentRemoval{Time: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Reason: "withdrawn", By: "tester@acme"}, gone.Removed)
	require.EqualValues(t, 8, gone.Seq)

	a := c.send("GET", "/api/ledger/documents/"+gone.Digest, "")
	require.Equal(t, 200, a.Status, "nothing is deleted")
	require.Equal(t, "2026-01-02T00:00:00Z; seq=8", a.Header.Get("X-Stella-Removed"))
	there := read[frontend.DocumentPage](t, c, "/api/ledger/documents?limit=1&asOf=5&ecosystem=pypi").Documents
	if len(there) > 0 {
		require.Empty(t, c.send("GET", "/api/ledger/documents/"+there[0].Digest, "").Header.Get("X-Stella-Removed"))
	}
	stats := read[frontend.LedgerStats](t, c, "/api/ledger/stats")
	require.Equal(t, []int64{3, 3, 7}, []int64{stats.Documents, stats.Removed, stats.Revisions})
	require.EqualValues(t, 1, remove(t, newCaller(t, w, "globex"), removalOf("", "A-04")).Absent, "another tenant's")
}

func TestRemoveDocumentsRefusesBadRequests(t *testing.T) {
	w := frontendtest.New(t)
	evidence(t, w, "acme", 2)
	c := newCaller(t, w, "acme")
	tomorrow := w.Now().Add(24 * time.Hour).Format(time.RFC3339)
	for name, body := range map[string]string{
		"nothing": ``, "no documents": `{}`, "none": removalOf(""), "too many": removalOf("", strings.Split(strings.Repeat("A,", 1001), ",")[:1001]...),
		"the future": removalOf(`"time":"`+tomorrow+`",`, "A-00"), "no time": removalOf(`"time":"0001-01-01T00:00:00Z",`, "A-00"),
		"no day": removalOf(`"time":"yesterday",`, "A-00"), "two lines": removalOf(`"reason":"a\nb",`, "A-00"),
		"no id": removalOf("", ""), "a long id": removalOf("", strings.Repeat("x", 513)), "unknown": removalOf(`"force":true,`, "A-00"),
		"kind":   `{"documents":[{"source":"osv","stream":"npm","kind":"virus","upstreamId":"A-00"}]}`,
		"source": `{"documents":[{"source":"o s v","stream":"npm","kind":"advisory","upstreamId":"A-00"}]}`,
	} {
		a := c.send("POST", removalsPath, body, "Content-Type", "application/json")
		require.Equal(t, 400, a.Status, "%s: %s", name, a.Body)
		require.Equal(t, "ERR_EXPORT_001", a.problem(t).Code, name)
	}
	require.Len(t, list(t, c, ""), 2)
	w.Ledger.SetFail(errors.New("the disk says no"))
	require.Equal(t, http.StatusInternalServerError, c.send("POST", removalsPath, removalOf("", "A-00"), "Content-Type", "application/json").Status)
	w.Ledger.SetFail(export.Errorf(export.CodeUnavailable, "no database"))
	require.Equal(t, http.StatusServiceUnavailable, c.send("POST", removalsPath, removalOf("", "A-00"), "Content-Type", "application/json").Status)
}

// Who removed a document is in the audit record.
func TestRemovalsAreAudited(t *testing.T) {
	w := frontendtest.New(t)
	evidence(t, w, "acme", 2)
	c := newCaller(t, w, "acme")
	remove(t, c, removalOf("", "A-00"))
	page := read[frontend.AuditPage](t, c, "/api/audit/entries?operation=RemoveDocuments")
	require.Len(t, page.Entries, 2)
	require.Equal(t, "tester@acme", page.Entries[1].Subject)
	require.Equal(t, 200, page.Entries[1].Status)
}
