package frontend_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
)

// A run that waits for a slot is recorded and not started; past the pending
// limit a request is refused in the words of the contract.
func TestRunsPastTheLimits(t *testing.T) {
	w := frontendtest.New(t)
	w.Runs.Limits = storage.Limits{Active: 1, Pending: 1}
	c := newCaller(t, w, "acme")
	first := c.send("POST", runsPath, `{"profileId":"json:raw"}`, "Idempotency-Key", "one").run(t)
	second := c.send("POST", runsPath, `{"profileId":"json:raw"}`, "Idempotency-Key", "two")
	require.Equal(t, 202, second.Status)
	require.Equal(t, frontend.RunStatus("pending"), second.run(t).Status)
	started := []export.Ref{{Tenant: "acme", RunID: first.RunID}}
	require.Equal(t, started, w.Starter.Started, "the second waits its turn")

	third := c.send("POST", runsPath, `{"profileId":"json:raw"}`, "Idempotency-Key", "three")
	require.Equal(t, 429, third.Status, third.Body)
	require.Equal(t, "ERR_EXPORT_007", third.problem(t).Code)
	require.Equal(t, "1", third.Header.Get("X-Stella-Quota-Limit"))
	require.Equal(t, "0", third.Header.Get("X-Stella-Quota-Remaining"))
	require.Equal(t, "5", third.Header.Get("Retry-After"))
	require.Equal(t, strconv.FormatInt(frontendtest.Start.Add(5*time.Second).Unix(), 10), third.Header.Get("X-Stella-Quota-Reset"))

	again := c.send("POST", runsPath, `{"profileId":"json:raw"}`, "Idempotency-Key", "two")
	require.Equal(t, 202, again.Status, "an accepted request is never refused")
	require.Equal(t, second.run(t).RunID, again.run(t).RunID)
	require.Equal(t, started, w.Starter.Started, "and asking twice does not take a slot")
	require.Equal(t, 202, newCaller(t, w, "globex").send("POST", runsPath, `{"profileId":"json:raw"}`).Status)
}

// Each quota says what it allows, and when to come again.
func TestQuotasSayWhenToComeAgain(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	first := c.send("POST", runsPath, `{"profileId":"json:raw"}`, "Idempotency-Key", "one").run(t)
	for _, tt := range []struct {
		reached storage.QuotaReached
		seconds int
	}{
		{storage.QuotaReached{Limit: 500, After: 90*time.Minute + time.Millisecond}, 5401},
		{storage.QuotaReached{Limit: 1 << 40}, 3600},
		{storage.QuotaReached{Limit: 1, After: time.Nanosecond}, 1},
	} {
		w.Runs.Refuse = &export.Error{Code: export.CodeQuota, Class: export.ClassQuota, Message: "no more of it", Err: &tt.reached}
		refused := c.send("POST", runsPath, `{"profileId":"json:raw"}`)
		require.Equal(t, 429, refused.Status, refused.Body)
		require.Equal(t, "ERR_EXPORT_QUOTA", refused.problem(t).Code)
		require.Equal(t, "no more of it", refused.problem(t).Message)
		require.Equal(t, strconv.FormatInt(tt.reached.Limit, 10), refused.Header.Get("X-Stella-Quota-Limit"))
		require.Equal(t, "0", refused.Header.Get("X-Stella-Quota-Remaining"))
		require.Equal(t, strconv.Itoa(tt.seconds), refused.Header.Get("Retry-After"))
		require.Equal(t, strconv.FormatInt(frontendtest.Start.Unix()+int64(tt.seconds), 10), refused.Header.Get("X-Stella-Quota-Reset"))
	}
	again := c.send("POST", runsPath, `{"profileId":"json:raw"}`, "Idempotency-Key", "one")
	require.Equal(t, first.RunID, again.run(t).RunID, "an accepted request is never refused")
	require.Equal(t, 200, c.send("POST", runsPath, `{"profileId":"json:raw","options":{"dryRun":true}}`).Status, "a dry run counts nowhere")
}

// A run has the quotas of its profile's revision, as everything that this says.
func TestARunHasItsProfilesQuotas(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	c.nightly("nightly", `{"quotas":{"maxConcurrentRuns":2,"maxRunsPerDay":3,"maxBytes":4}}`)
	quotas := func(profile string) export.ProfileQuotas {
		run := c.send("POST", runsPath, `{"profileId":"`+profile+`"}`).run(t)
		stored, err := w.Runs.GetRun(t.Context(), export.Ref{Tenant: "acme", RunID: run.RunID})
		require.NoError(t, err)
		return stored.Quotas
	}
	require.Equal(t, export.ProfileQuotas{MaxConcurrentRuns: 2, MaxRunsPerDay: 3, MaxBytes: 4}, quotas("nightly"))
	require.Equal(t, 200, c.send("PATCH", profilesPath+"/nightly", `{"config":{"quotas":{"maxBytes":5}}}`, "If-Match", "*").Status)
	require.Equal(t, export.ProfileQuotas{MaxBytes: 5}, quotas("nightly"))
	require.Zero(t, quotas("json:raw"))
}

func TestATenantsQuotas(t *testing.T) {
	w := frontendtest.New(t)
	c := administrator(t, w)
	const path = "/api/tenants/acme/quotas"
	require.Equal(t, 404, c.send("PUT", path, `{}`).Status)
	require.Equal(t, 201, c.send("POST", "/api/tenants", `{"tenant":"acme"}`).Status)
	for _, body := range []string{`{"runsPerDay":500,"bytes":0}`, `{"bytes":9007199254740991}`, `{}`} {
		a := c.send("PUT", path, body)
		require.Equal(t, 200, a.Status, a.Body)
		require.Equal(t, a.tenant(t), c.send("GET", "/api/tenants/acme", "").tenant(t))
		got, err := json.Marshal(a.tenant(t).Quotas)
		require.NoError(t, err)
		require.JSONEq(t, body, string(got))
	}
	for _, body := range []string{``, `[]`, `{"runsPerDay":-1}`, `{"runsPerDay":1000001}`, `{"bytes":-1}`, `{"bytes":9007199254740992}`, `{"bytes":"1"}`, `{"runs":1}`} {
		require.Equal(t, 400, c.send("PUT", path, body).Status, body)
	}
	require.Equal(t, 403, newCaller(t, w, "acme").send("PUT", path, `{}`).Status, "not by the tenant itself")
}
