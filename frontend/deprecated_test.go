package frontend_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// The older addresses answer what their successors answer, say that they will go
// and what comes instead, and the tenant hears of it once a day.
func TestOlderAddresses(t *testing.T) {
	w := frontendtest.New(t)
	run, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newCaller(t, w, "acme")
	pairs := map[string]string{
		"/v1/exports/profiles":                     "/api/export/profiles",
		"/v1/exports/runs":                         "/api/export/runs",
		"/v1/exports/runs/" + run.ID + "/events":   "/api/export/runs/" + run.ID + "/events",
		"/v1/exports/runs/" + run.ID + "/download": "/api/export/runs/" + run.ID + "/download",
	}
	for range 2 {
		for older, newer := range pairs {
			a, b := c.send("GET", older, ""), c.send("GET", newer, "")
			require.Equal(t, b.Status, a.Status, older)
			require.Equal(t, b.Body, a.Body, older)
			require.Equal(t, fmt.Sprintf("@%d", time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC).Unix()), a.Header.Get("Deprecation"), older)
			require.Equal(t, "Sun, 21 Nov 2027 00:00:00 GMT", a.Header.Get("Sunset"))
			require.Equal(t, "<"+newer+`>; rel="successor-version"`, a.Header.Get("Link"))
			require.Empty(t, b.Header.Get("Deprecation"))
		}
	}
	noticed := w.Notices.All()
	require.Len(t, noticed, len(pairs), "once a day")
	for _, n := range noticed {
		require.Equal(t, "acme", n.TenantID)
		require.Equal(t, "export.api.deprecated", n.EventType)
		require.Equal(t, "2027-11-21", n.Payload["sunset"])
	}
	w.SetTime(w.Now().Add(24 * time.Hour))
	c.token = w.Token(t, "acme")
	c.send("GET", "/v1/exports/runs", "")
	require.Len(t, w.Notices.All(), len(pairs)+1)

	// Who is not let in learns nothing by the older address either.
	c.token = w.Issuer.Token(t, "acme", "ledger:read")
	require.Equal(t, 403, c.send("GET", "/v1/exports/runs", "").Status)
	require.Equal(t, 404, newCaller(t, w, "globex").send("GET", "/v1/exports/runs/"+run.ID+"/download", "").Status)
	require.Equal(t, 404, newCaller(t, w, "acme").send("GET", "/v1/nothing", "").Status)
}
