package frontend_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
)

// decides makes profiles of a kind that decides, one for each mode of policy snapshots.
func decides(t testing.TB, w *frontendtest.World, tenant, project string) {
	t.Helper()
	for n, mode := range []export.SnapshotMode{"", export.SnapshotOptional, export.SnapshotRequired, export.SnapshotNone} {
		name := "decides"
		if mode != "" {
			name += "-" + string(mode)
		}
		_, _, err := w.Profiles.CreateProfile(t.Context(), export.Profile{Tenant: tenant, Project: project, ID: fmt.Sprintf("0195f000-0000-7000-9000-%012x", n), Name: name,
			Kind: "json", Variant: "policy", Config: export.ProfileConfig{PolicySnapshotMode: mode}, CreatedBy: "alice", CreatedAt: frontendtest.Start}, storage.Idempotency{})
		require.NoError(t, err)
	}
}

// runBy asks for a run that decides by a policy snapshot, "" = none is named.
func (c *caller) runBy(id, mode string, headers ...string) answer {
	c.t.Helper()
	options := "{}"
	if id != "" {
		options = fmt.Sprintf(`{"policySnapshotId":%q}`, id)
	}
	profile := "decides"
	if mode != "" {
		profile += "-" + mode
	}
	return c.send("POST", runsPath, fmt.Sprintf(`{"profileId":%q,"options":%s}`, profile, options), headers...)
}

// What a run decides by is written into the run when it is asked for.
func TestRunsDecideByASnapshot(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	decides(t, w, "acme", "")
	s := c.pack("blocking", frontendtest.Pack("1", "deny")).policy(t)
	decidedBy := func(a answer) string {
		t.Helper()
		require.Equal(t, 202, a.Status, a.Body)
		run := a.run(t)
		var stored frontend.Run = c.send("GET", runsPath+"/"+run.RunID, "").run(t)
		require.Equal(t, run.Options, stored.Options)
		return run.Options.PolicySnapshotID
	}
	for _, mode := range []string{"", "optional", "required"} {
		require.Equal(t, s.ID, decidedBy(c.runBy(s.ID, mode)), mode)
		require.Equal(t, "policy-baseline", decidedBy(c.runBy("policy-baseline", mode)), mode)
	}
	for _, mode := range []string{"", "optional", "none"} {
		require.Equal(t, "policy-baseline", decidedBy(c.runBy("", mode)), mode)
	}
	refused := func(a answer, says string) {
		t.Helper()
		require.Equal(t, 422, a.Status, a.Body)
		p := a.problem(t)
		require.Equal(t, "ERR_EXPORT_005", p.Code)
		require.Equal(t, "options.policySnapshotId", p.Details[0].Field)
		require.Contains(t, p.Message, says)
	}
	refused(c.runBy("", "required"), "requires a policy snapshot")
	require.Equal(t, 400, c.runBy(s.ID, "none").Status)
	for _, absent := range []string{"7b3f9a52-64f1-4bfc-9b8e-8a2f1d2c3b4a", "blocking", "pol:2026-11@sha256", "baseline"} {
		refused(c.runBy(absent, ""), "there is no such policy snapshot")
		require.Equal(t, absent, c.send("POST", runsPath, `{"profileId":"json:raw","options":{"policySnapshotId":"`+absent+`"}}`).run(t).Options.PolicySnapshotID,
			"a kind that decides nothing records a word")
	}

	before := c.runBy(s.ID, "", "Idempotency-Key", "k").run(t)
	require.Equal(t, 200, c.send("DELETE", s.Links.Self, "").Status)
	refused(c.runBy(s.ID, ""), "archived")
	require.Equal(t, before.RunID, c.runBy(s.ID, "", "Idempotency-Key", "k").run(t).RunID, "what was promised stays promised")
	refused(c.runBy(s.ID, "", "Idempotency-Key", "other"), "archived")
}

// The same request with its key is the same run, whether it names the built-in snapshot
// because nobody named one or not.
func TestAKeyIsOfWhatWasAsked(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	decides(t, w, "acme", "")
	first := c.runBy("", "", "Idempotency-Key", "k").run(t)
	require.Equal(t, first.RunID, c.runBy("", "", "Idempotency-Key", "k").run(t).RunID)
	require.Equal(t, 422, c.runBy("policy-baseline", "", "Idempotency-Key", "k").Status)
}

// Who decides is said of runs that decide, and whoever takes findings of another engine
// must take findings.
func TestPolicyEngines(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	decides(t, w, "acme", "")
	ask := func(profile, engine, selectors string) answer {
		return c.send("POST", runsPath, fmt.Sprintf(`{"profileId":%q,"selectors":{%s},"options":{"policyEngine":%q}}`, profile, selectors, engine))
	}
	for _, engine := range []string{"opa", "imported"} {
		require.Equal(t, engine, string(ask("decides", engine, "").run(t).Options.PolicyEngine))
		require.Equal(t, engine, string(ask("decides", engine, `"kinds":["finding","sbom"]`).run(t).Options.PolicyEngine))
	}
	require.Empty(t, c.runBy("", "").run(t).Options.PolicyEngine)
	require.Equal(t, 202, ask("json:policy", "opa", "").Status)
	for _, refused := range []struct{ profile, engine, selectors, says string }{
		{"decides", "rego", "", "is not one of opa, imported"},
		{"decides", "imported", `"kinds":["sbom"]`, "the run takes sbom only"},
		{"json:policy", "imported", "", "the run takes advisory, sbom, vex only"},
		{"json:raw", "opa", "", "decide nothing"},
	} {
		a := ask(refused.profile, refused.engine, refused.selectors)
		require.Equal(t, 400, a.Status, refused)
		p := a.problem(t)
		require.Equal(t, "options.policyEngine", p.Details[0].Field)
		require.Contains(t, p.Message, refused.says)
	}
}
