package frontend_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/orchestrator"
	"github.com/stella-ops/exportcenter/signing"
)

const (
	recordsPath = "/internal/orchestrator/exports"
	recordHash  = "sha256:486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7"
)

func recordID(n int) string { return fmt.Sprintf("0192f3c4-5d6e-7f80-9a1b-%012x", n) }

func aRecord(n int, status orchestrator.Status) orchestrator.Record {
	r := orchestrator.Record{RunID: recordID(n), ArtifactHash: recordHash, StartedAt: "2026-11-21T08:00:00Z", Status: status}
	if status.Ended() {
		r.CompletedAt = "2026-11-21T08:00:04Z"
	}
	return r
}

func body(t testing.TB, r any) string {
	raw, err := json.Marshal(r)
	require.NoError(t, err)
	return string(raw)
}

// report reports as a producer would.
func (c *caller) record(r any) answer {
	return c.send("POST", recordsPath, body(c.t, r), "X-Stella-Tenant", "acme")
}

func TestRecordsOfExports(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	first := c.record(aRecord(1, "pending"))
	require.Equal(t, 201, first.Status, first.Body)
	var stored orchestrator.Record
	require.NoError(t, json.Unmarshal([]byte(first.Body), &stored))
	require.Equal(t, aRecord(1, "pending").Normal("acme"), stored, "with tenant and key")

	require.Equal(t, "duplicate", conflictOf(t, c.record(aRecord(1, "pending")), aRecord(1, "pending")))
	require.Equal(t, "duplicate", conflictOf(t, c.record(aRecord(1, "pending").Normal("acme")), aRecord(1, "pending")), "the same in other words")
	require.Equal(t, "mismatch", conflictOf(t, c.record(aRecord(1, "succeeded")), aRecord(1, "pending")), "not without running")
	require.Equal(t, 200, c.record(aRecord(1, "running")).Status)
	end := aRecord(1, "failed")
	end.LogsPath = "cas://logs/1.ndjson"
	require.Equal(t, 200, c.record(end).Status)
	require.Equal(t, "mismatch", conflictOf(t, c.record(aRecord(1, "succeeded")), end), "an end is final")
	require.Equal(t, "duplicate", conflictOf(t, c.record(end), end))
	require.Equal(t, 201, c.record(aRecord(2, "succeeded")).Status, "an end may be the first that is heard")

	var told []string
	for _, e := range w.Records.Events {
		told = append(told, e.EventType)
	}
	require.Equal(t, []string{"orchestrator.export.created", "ledger_export", "ledger_export", "ledger_export",
		"orchestrator.export.created", "ledger_export"}, told, "a duplicate and a mismatch tell nothing")
}

func conflictOf(t testing.TB, a answer, stored orchestrator.Record) string {
	t.Helper()
	require.Equal(t, 409, a.Status, a.Body)
	var conflict struct {
		frontend.Problem
		Kind   string              `json:"kind"`
		Record orchestrator.Record `json:"record"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.Body), &conflict))
	require.Equal(t, "ERR_EXPORT_009", conflict.Code)
	require.Equal(t, stored.Normal("acme"), conflict.Record)
	return conflict.Kind
}

func TestRecordsAreRefused(t *testing.T) {
	key := bundletest.Key(t, 1, signing.Ed25519)
	w := frontendtest.New(t, func(c *frontend.Config) { c.Orchestrators = []signing.Verifier{bundletest.Verifier(t, key)} })
	c := newCaller(t, w, "acme")
	require.Equal(t, "TENANT_REQUIRED", c.send("POST", recordsPath, body(t, aRecord(1, "pending"))).problem(t).Code)
	require.Equal(t, 201, c.send("POST", recordsPath, body(t, aRecord(9, "pending")), "X-StellaOps-Tenant", "acme").Status)
	require.Equal(t, 403, c.send("POST", recordsPath, body(t, aRecord(1, "pending")), "X-Stella-Tenant", "globex").Status)
	require.Equal(t, 400, c.send("POST", recordsPath, body(t, aRecord(1, "pending")), "X-Stella-Tenant", "../b").Status)
	foreign := aRecord(1, "pending")
	foreign.TenantID = "globex"
	require.Equal(t, "ERR_EXPORT_008", c.record(foreign).problem(t).Code)
	for says, text := range map[string]string{
		"manifestPath":  `{"runId":"` + recordID(1) + `","artifactHash":"` + recordHash + `","startedAt":"2026-11-21T08:00:00Z","status":"pending","manifestPath":"http://x/"}`,
		"runId":         `{"artifactHash":"` + recordHash + `","startedAt":"2026-11-21T08:00:00Z","status":"pending"}`,
		"surprise":      strings.TrimSuffix(body(t, aRecord(1, "pending")), "}") + `,"surprise":1}`,
		"status":        strings.TrimSuffix(body(t, aRecord(1, "pending")), "}") + `,"status":"running"}`,
		"the body":      `[]`,
		"signatures[0]": strings.TrimSuffix(body(t, aRecord(1, "pending").Normal("acme")), "}") + `,"signatures":[{"type":"dsse","keyId":"` + key.KeyID() + `","signature":"AAAA"}]}`,
	} {
		a := c.send("POST", recordsPath, text, "X-Stella-Tenant", "acme")
		require.Equal(t, 400, a.Status, "%s: %s", says, a.Body)
		require.Contains(t, a.problem(t).Message, says)
	}
	big := body(t, aRecord(1, "pending"))
	big = strings.TrimSuffix(big, "}") + `,"jobType":"` + strings.Repeat("x", 1<<20) + `"}`
	require.Equal(t, 413, c.send("POST", recordsPath, big, "X-Stella-Tenant", "acme").Status)
	require.Len(t, w.Records.Events, 2, "nothing of it was stored")

	signed := aRecord(1, "running").Normal("acme")
	payload, err := signed.Payload()
	require.NoError(t, err)
	sig, err := key.Sign(t.Context(), signing.PAE(orchestrator.PayloadType, payload))
	require.NoError(t, err)
	signed.Signatures = []orchestrator.Signature{{Type: "dsse", KeyID: key.KeyID(), Signature: base64.StdEncoding.EncodeToString(sig)}}
	require.Equal(t, 201, c.record(signed).Status)
	without := frontendtest.New(t)
	require.Equal(t, 400, newCaller(t, without, "acme").record(signed).Status, "a server that trusts nobody believes nothing that is signed")
}

func TestListOfRecords(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	for _, n := range []int{3, 1, 2, 5, 4} {
		require.Equal(t, 201, c.record(aRecord(n, "pending")).Status)
	}
	list := func(query string) (ids []string, next string) {
		a := c.send("GET", recordsPath+query, "")
		require.Equal(t, 200, a.Status, a.Body)
		var page frontend.ExportRecordPage
		require.NoError(t, json.Unmarshal([]byte(a.Body), &page))
		for _, r := range page.Records {
			ids = append(ids, r.RunID)
		}
		return ids, page.NextCursor
	}
	ids, next := list("?limit=2")
	require.Equal(t, []string{recordID(1), recordID(2)}, ids)
	ids, next = list("?limit=2&cursor=" + next)
	require.Equal(t, []string{recordID(3), recordID(4)}, ids)
	ids, next = list("?limit=2&cursor=" + next)
	require.Equal(t, []string{recordID(5)}, ids)
	require.Empty(t, next)
	ids, _ = list("?runId=" + recordID(4))
	require.Equal(t, []string{recordID(4)}, ids)
	ids, _ = list("?status=running")
	require.Empty(t, ids)
	ids, _ = list("?artifactHash=" + strings.ToUpper(recordHash[:6]) + recordHash[6:])
	require.Len(t, ids, 5)
	for _, bad := range []string{"?limit=0", "?limit=201", "?cursor=x", "?runId=" + strings.Repeat("x", 200)} {
		require.Equal(t, 400, c.send("GET", recordsPath+bad, "").Status, bad)
	}
	c.token = w.Token(t, "globex")
	ids, _ = list("")
	require.Empty(t, ids)
	require.Equal(t, 405, c.send("DELETE", recordsPath, "").Status)
	require.Equal(t, 404, c.send("GET", "/internal/anything", "").Status)
}
