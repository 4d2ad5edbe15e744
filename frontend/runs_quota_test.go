package frontend_test

import (
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
