package frontend_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// What the profile says is in the run from the beginning, so that nothing that
// happens to the profile later matters to it.
func TestRunsAreOfARevision(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	p := c.nightly("nightly", `{"include":["vex","advisories"],"redaction":{"policyId":"p","allow":{"vex":["*"],"advisory":["id"]}}}`)
	run := c.send("POST", runsPath, `{"profileId":"nightly"}`, "Idempotency-Key", "k").run(t)
	require.Equal(t, frontend.ProfileRef{ID: p.ID, Revision: 1, Name: "nightly", Kind: "json", Variant: "raw"}, run.Profile)
	require.Equal(t, []string{"advisory", "vex"}, run.Selectors.Kinds)
	require.Equal(t, "p", run.Options.Redaction.PolicyID)

	require.Equal(t, 200, c.send("PATCH", profilesPath+"/nightly", `{"config":{"include":["sboms"]}}`, "If-Match", "*").Status)
	require.Equal(t, run, c.send("GET", runsPath+"/"+run.RunID, "").run(t))
	again := c.send("POST", runsPath, `{"profileId":"`+p.ID+`"}`, "Idempotency-Key", "k")
	require.Equal(t, run.RunID, again.run(t).RunID, "the same request is the same run, whatever the profile says now")
	next := c.send("POST", runsPath, `{"profileId":"nightly"}`).run(t)
	require.Equal(t, 2, next.Profile.Revision)
	require.Equal(t, []string{"sbom"}, next.Selectors.Kinds)
	require.Nil(t, next.Options.Redaction)
	require.Contains(t, c.send("GET", runsPath+"?profile=nightly", "").Body, next.RunID)
}

func TestARunNarrowsItsProfile(t *testing.T) {
	c := newCaller(t, frontendtest.New(t), "acme")
	c.nightly("nightly", `{"include":["vex","advisories"],"redaction":{"policyId":"p","allow":{"vex":["*"],"advisory":["id"]}}}`)
	run := c.send("POST", runsPath, `{"profileId":"nightly","selectors":{"kinds":["vex"]},"options":{"redaction":{"policyId":"own","allow":{"vex":["a"]}}}}`).run(t)
	require.Equal(t, []string{"vex"}, run.Selectors.Kinds)
	require.Equal(t, "own", run.Options.Redaction.PolicyID, "the request asks for less")
	p := c.send("POST", runsPath, `{"profileId":"nightly","selectors":{"kinds":["vex","sbom"]}}`).problem(t)
	require.Equal(t, "ERR_EXPORT_004", p.Code)
	require.Contains(t, p.Message, "does not include kind sbom; it includes advisory, vex")
	p = c.send("POST", runsPath, `{"profileId":"nightly","options":{"redaction":{"policyId":"own","allow":{"vex":["a"]}}}}`).problem(t)
	require.Contains(t, p.Message, "redaction own says nothing about kind advisory")
	p = c.send("POST", runsPath, `{"profileId":"nightly","options":{"redaction":{"policyId":"own","allow":{"vex":["*"],"advisory":["id","summary"]}}}}`).problem(t)
	require.Equal(t, "ERR_EXPORT_001", p.Code)
	require.Contains(t, p.Message, `"summary" is not within what the profile's redaction p keeps of kind advisory`)
}

func TestPolicySnapshotModes(t *testing.T) {
	c := newCaller(t, frontendtest.New(t), "acme")
	ask := func(profile, snapshot string) answer {
		return c.send("POST", runsPath, `{"profileId":"`+profile+`","options":{"policySnapshotId":"`+snapshot+`"}}`)
	}
	for _, mode := range []string{"required", "optional", "none"} {
		c.nightly("mode-"+mode, `{"policySnapshotMode":"`+mode+`"}`)
	}
	a := c.send("POST", runsPath, `{"profileId":"mode-required"}`)
	require.Equal(t, 422, a.Status)
	require.Equal(t, "ERR_EXPORT_005", a.problem(t).Code)
	require.Equal(t, "pol:2026-11@sha256", ask("mode-required", "pol:2026-11@sha256").run(t).Options.PolicySnapshotID)
	require.Equal(t, 202, c.send("POST", runsPath, `{"profileId":"mode-optional"}`).Status)
	require.Equal(t, 202, ask("mode-optional", "p").Status)
	require.Equal(t, 202, c.send("POST", runsPath, `{"profileId":"mode-none"}`).Status)
	require.Equal(t, 400, ask("mode-none", "p").Status)
	for _, bad := range []string{"a b", "-a", "a\\u0000", "a'"} {
		require.Equal(t, 400, ask("json:raw", bad).Status, bad)
	}
}

// A database of another schema than its kind makes is refused before anything
// is packed, and so is a database of a kind that makes none.
func TestARunAsksForASchema(t *testing.T) {
	c := newCaller(t, frontendtest.New(t), "acme")
	ask := func(profile, schema string) answer {
		return c.send("POST", runsPath, `{"profileId":"`+profile+`","options":{"schemaVersion":`+schema+`}}`)
	}
	require.Equal(t, 2, ask("trivy-db", "2").run(t).Options.SchemaVersion)
	a := ask("trivy-db", "3")
	require.Equal(t, 422, a.Status)
	require.Equal(t, "ERR_EXPORT_010", a.problem(t).Code)
	require.Contains(t, a.problem(t).Message, "trivy:db makes databases of schema 2, not 3; leave it out")
	a = ask("json-raw", "2")
	require.Equal(t, 400, a.Status)
	require.Contains(t, a.problem(t).Message, "json:raw makes no database; leave it out")
}
