package frontend_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// Whatever a body holds, the answer is lines of the contract in the promised
// order, with sums that add up, and the ledger has what they say.
func FuzzImport(f *testing.F) {
	one, bad := record(`{"id":"A"}`), record(`{"noid":1}`)
	for _, body := range []string{"", one, one + one + bad, bad, strings.Repeat(one, 3) + "\n\r\n" + bad + `{"bytes":`} {
		f.Add(false, []byte(body))
	}
	whole := archive(f, member{name: "a.json", content: `{"id":"A"}`}, member{name: "b.jsonl", content: "{\"id\":\"B\"}\n{}\n"}, member{name: "../l.json", content: "x", kind: '2'})
	for _, body := range []string{"", whole, whole[:700], whole[:1500], whole + "rest", one} {
		f.Add(true, []byte(body))
	}
	w := frontendtest.New(f)
	tenants := 0
	f.Fuzz(func(t *testing.T, tarball bool, body []byte) {
		tenants++ // each has a ledger of its own
		tenant := fmt.Sprint("t", tenants)
		req := httptest.NewRequest("POST", documentsPath, strings.NewReader(string(body)))
		req.Header.Set("Authorization", "Bearer "+w.Token(t, tenant))
		req.Header.Set("Content-Type", map[bool]string{true: "application/x-tar", false: "application/x-ndjson"}[tarball])
		answer := httptest.NewRecorder()
		w.Server.ServeHTTP(answer, req)
		require.Equal(t, 200, answer.Code)
		var told imported
		for line := range strings.Lines(answer.Body.String()) {
			var parsed frontend.ImportLine
			require.NoError(t, json.Unmarshal([]byte(line), &parsed))
			told.add(t, []byte(line))
		}
		s := told.summary
		require.NotNil(t, s, "all of the body came, so all of it was read: %s", answer.Body)
		require.Equal(t, s.Read, s.Accepted+s.Unchanged+s.Superseded+s.Rejected)
		require.Len(t, told.rejections, int(s.Rejected))
		last := int64(0)
		for _, r := range told.rejections {
			require.Greater(t, r.Record, last)
			require.LessOrEqual(t, r.Record, s.Read)
			require.NotEmpty(t, r.Reason)
			last = r.Record
		}
		for _, r := range told.recorded {
			require.Equal(t, r.Read, r.Accepted+r.Unchanged+r.Superseded+r.Rejected)
		}
		require.LessOrEqual(t, int64(len(w.Ledger.Documents(tenant))), s.Accepted)
		require.Zero(t, frontend.HeldByImports(w.Server))
	})
}
