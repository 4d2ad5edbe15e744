package frontend_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// However products and times are written, the run has their one form.
func TestCreateRunWithProductsAndTimes(t *testing.T) {
	c := newCaller(t, frontendtest.New(t), "acme")
	run := c.send("POST", runsPath, `{"profileId":"json:raw","selectors":{
		"products":["pkg:npm/lodash**","pkg:maven/a","pkg:npm/lodash*"],
		"timeWindow":{"from":"2026-01-01T01:00:00.50+01:00"}}}`, "Idempotency-Key", "k").run(t)
	require.Equal(t, []string{"pkg:maven/a", "pkg:npm/lodash*"}, run.Selectors.Products)
	from := "2026-01-01T00:00:00.5Z"
	require.Equal(t, &frontend.TimeWindow{From: &from, Field: "modifiedAt"}, run.Selectors.TimeWindow)
	require.Equal(t, run, c.send("GET", runsPath+"/"+run.RunID, "").run(t))
	same := c.send("POST", runsPath, `{"profileId":"json:raw","selectors":{"products":["pkg:maven/a","pkg:npm/lodash*"],
		"timeWindow":{"field":"modifiedAt","from":"2026-01-01T00:00:00.5Z"}}}`, "Idempotency-Key", "k")
	require.Equal(t, run.RunID, same.run(t).RunID, "the same request in other words")
	other := c.send("POST", runsPath, `{"profileId":"json:raw","selectors":{"products":["pkg:maven/a","pkg:npm/lodash*"],
		"timeWindow":{"field":"observedAt","from":"2026-01-01T00:00:00.5Z"}}}`, "Idempotency-Key", "k")
	require.Equal(t, 422, other.Status, "another moment is another request")
}

func TestProductsAndTimesThatAreNone(t *testing.T) {
	c := newCaller(t, frontendtest.New(t), "acme")
	for name, test := range map[string]struct {
		body   string
		status int
		code   string
		says   string
	}{
		"product no purl":   {`{"profileId":"json:raw","selectors":{"products":["pkg:npm/a","lodash"]}}`, 400, "ERR_EXPORT_004", "selectors.products[1]"},
		"product version":   {`{"profileId":"json:raw","selectors":{"products":["pkg:npm/a@1"]}}`, 400, "ERR_EXPORT_004", "has a version"},
		"products no list":  {`{"profileId":"json:raw","selectors":{"products":"pkg:npm/a"}}`, 400, "ERR_EXPORT_001", "products"},
		"many products":     {`{"profileId":"json:raw","selectors":{"products":[` + strings.Repeat(`"pkg:npm/a",`, 256) + `"pkg:npm/b"]}}`, 400, "ERR_EXPORT_004", "selectors.products"},
		"empty window":      {`{"profileId":"json:raw","selectors":{"timeWindow":{}}}`, 400, "ERR_EXPORT_004", "selectors.timeWindow"},
		"window field":      {`{"profileId":"json:raw","selectors":{"timeWindow":{"from":"2026-01-01T00:00:00Z","field":"created"}}}`, 400, "ERR_EXPORT_004", "selectors.timeWindow.field"},
		"window no time":    {`{"profileId":"json:raw","selectors":{"timeWindow":{"from":"yesterday"}}}`, 400, "ERR_EXPORT_004", "selectors.timeWindow.from"},
		"window empty time": {`{"profileId":"json:raw","selectors":{"timeWindow":{"from":"2026-01-01T00:00:00Z","to":""}}}`, 400, "ERR_EXPORT_004", "selectors.timeWindow.to"},
		"window of nothing": {`{"profileId":"json:raw","selectors":{"timeWindow":{"from":"2026-01-01T00:00:00Z","to":"2026-01-01T01:00:00+01:00"}}}`, 400, "ERR_EXPORT_004", "selectors.timeWindow"},
		"window unknown":    {`{"profileId":"json:raw","selectors":{"timeWindow":{"start":"2026-01-01T00:00:00Z"}}}`, 400, "ERR_EXPORT_001", "start"},
	} {
		a := c.send("POST", runsPath, test.body)
		require.Equal(t, test.status, a.Status, "%s: %s", name, a.Body)
		p := a.problem(t)
		require.Equal(t, test.code, p.Code, name)
		require.Contains(t, p.Message, test.says, name)
		if test.code == "ERR_EXPORT_004" {
			require.Regexp(t, `^selectors\.`, p.Details[0].Field, name)
		}
	}
}
