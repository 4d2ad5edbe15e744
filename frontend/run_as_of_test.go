package frontend_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// A run can be as of a sequence that was recorded, and of a time that is past.
func TestRunsAsOfThePast(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	ago := 2 * time.Hour
	w.Ledger.Now = func() time.Time { return frontendtest.Start.Add(-ago) }
	importText(t, c, record(`{"id":"CVE-1"}`))
	ago = time.Hour
	importText(t, c, record(`{"id":"CVE-2"}`)+record(`{"id":"CVE-3"}`))
	at := func(d time.Duration) string {
		return `"asOfTime":"` + frontendtest.Start.Add(d).Format(time.RFC3339Nano) + `"`
	}
	ask := func(options string) answer {
		return c.send("POST", runsPath, `{"profileId":"json:raw","options":{`+options+`}}`)
	}
	for options, want := range map[string]int64{`"asOf":1`: 1, `"asOf":3`: 3, at(-2 * time.Hour): 1, at(-time.Minute - time.Hour): 1, at(-time.Hour): 3, at(0): 3} {
		a := ask(options)
		require.Equal(t, 202, a.Status, a.Body)
		run := c.send("GET", runsPath+"/"+a.run(t).RunID, "").run(t)
		require.NotNil(t, run.Options.AsOf, options)
		require.Equal(t, want, *run.Options.AsOf, options)
		require.Nil(t, run.Options.AsOfTime)
		require.Zero(t, run.AsOf, "it has not started")

		var tag frontend.PriceTag
		a = ask(options + `,"dryRun":true`)
		require.Equal(t, 200, a.Status, a.Body)
		require.NoError(t, json.Unmarshal([]byte(a.Body), &tag))
		require.Equal(t, [2]int64{want, want}, [2]int64{tag.AsOf, tag.Records}, options)
	}
	require.Nil(t, ask("").run(t).Options.AsOf)
	for options, says := range map[string]string{
		`"asOf":4`:                   "the ledger has no sequence 4 yet; its last is 3",
		`"asOf":0`:                   "0 is no sequence",
		`"asOf":-1`:                  "-1 is no sequence",
		`"asOf":1,` + at(0):          "said twice",
		at(time.Second):              "is not past",
		at(-3 * time.Hour):           "nothing was recorded until",
		`"asOfTime":"2026-11-21"`:    "is not an RFC 3339 time",
		`"asOf":4,"dryRun":true`:     "the ledger has no sequence 4 yet",
		`"asOf":"1"`:                 "asOf",
		`"asOf":1.5`:                 "asOf",
		`"asOf":9223372036854775808`: "2^53",
	} {
		a := ask(options)
		require.Equal(t, 400, a.Status, "%s: %s", options, a.Body)
		require.Equal(t, "ERR_EXPORT_001", a.problem(t).Code, options)
		require.Contains(t, a.Body, says, options)
	}
}

// The time is resolved when the run is asked for, and the request that is repeated is
// the same one, though the ledger has grown.
func TestARepeatedRequestAsOfATime(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	importText(t, c, record(`{"id":"CVE-1"}`))
	body := fmt.Sprintf(`{"profileId":"json:raw","options":{"asOfTime":%q}}`, frontendtest.Start.Format(time.RFC3339Nano))
	first := c.send("POST", runsPath, body, "Idempotency-Key", "k").run(t)
	importText(t, c, record(`{"id":"CVE-2"}`))
	again := c.send("POST", runsPath, body, "Idempotency-Key", "k").run(t)
	require.Equal(t, first.RunID, again.RunID)
	require.Equal(t, int64(1), *again.Options.AsOf)
	for _, other := range []string{`{}`, `{"asOf":1}`, `{"asOfTime":"2026-01-01T00:00:00Z"}`} {
		a := c.send("POST", runsPath, `{"profileId":"json:raw","options":`+other+`}`, "Idempotency-Key", "k")
		require.NotEqual(t, 202, a.Status, other)
	}
}

// What was asked for as of the past is not what a profile publishes.
func TestThePastIsNotTheLatest(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	now := w.Run("acme", export.StateSucceeded)
	past := w.Run("acme", export.StateSucceeded)
	past.Options.AsOf, past.AsOf = 1, 1
	w.Runs.Put(past, nil)
	ofMirror := w.Run("acme", export.StateSucceeded)
	ofMirror.Options.MirrorRunID = now.ID
	w.Runs.Put(ofMirror, nil)
	require.Nil(t, c.send("GET", runsPath+"/"+ofMirror.ID, "").run(t).Options.AsOf, "it was not asked for as of a sequence")
	require.Equal(t, now.ID, c.send("GET", "/api/export/profiles/json:raw/latest", "").run(t).RunID)
	shown := c.send("GET", runsPath+"/"+past.ID, "").run(t)
	require.Equal(t, [2]int64{1, 1}, [2]int64{shown.AsOf, *shown.Options.AsOf})
}
