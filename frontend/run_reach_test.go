package frontend_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

const untilNewYear = "2027-01-01T00:00:00Z"

// approverOf makes an approver: one seed, one key.
func approverOf(t testing.TB, seed string) signing.Signer {
	t.Helper()
	signer, err := signing.NewSigner(ed25519.NewKeyFromSeed([]byte(strings.Repeat(seed, 32))))
	require.NoError(t, err)
	return signer
}

// approve makes an element of a profile's approvals.
func approve(t testing.TB, by signing.Signer, a bundle.Approval) map[string]any {
	t.Helper()
	a.Version, a.Approver = "1", "ops"
	text, err := a.Encode()
	require.NoError(t, err)
	envelope, err := signing.SignEnvelope(t.Context(), by, bundle.ApprovalPayloadType, text)
	require.NoError(t, err)
	element := map[string]any{"tenant": a.Tenant, "approver": a.Approver, "expiresAt": a.ExpiresAt, "signature": string(envelope)}
	if a.Project != "" {
		element["project"] = a.Project
	}
	return element
}

func withApprovals(t testing.TB, approvals ...map[string]any) string {
	t.Helper()
	config, err := json.Marshal(map[string]any{"approvals": approvals})
	require.NoError(t, err)
	return string(config)
}

// trustingWorld makes a World in which approvals by signer count, with a tenant globex
// that has documents in two projects.
func trustingWorld(t testing.TB, signer signing.Signer, change ...func(*frontend.Config)) *frontendtest.World {
	t.Helper()
	key, err := signing.ParsePublicKey(signer.PublicKeyPEM())
	require.NoError(t, err)
	w := frontendtest.New(t, append([]func(*frontend.Config){func(cfg *frontend.Config) {
		cfg.CrossTenant = profiles.CrossTenant{Enabled: true, Approvers: []signing.Verifier{key}}
	}}, change...)...)
	for _, name := range []string{"globex", "initech"} {
		require.NoError(t, w.Tenants.CreateTenant(t.Context(), export.Tenant{Name: name, State: export.TenantActive}))
	}
	holding := func(tenant, project string, ids ...string) {
		for _, id := range ids {
			o, err := frontendtest.ParseAnything(ledger.Entry{Source: "s", Stream: "t", Bytes: []byte(`{"id":"` + id + `"}`)})
			require.NoError(t, err)
			o.Project = project
			_, err = w.Ledger.Import(t.Context(), tenant, []ledger.Observation{o})
			require.NoError(t, err)
		}
	}
	holding("acme", "", "A-1", "A-2")
	holding("globex", "", "G-1", "G-2", "G-3")
	holding("globex", "web", "W-1")
	return w
}

// passing are the members of a problem that differ from one call to the next.
var passing = regexp.MustCompile(`"(traceId|timestamp)":"[^"]*"`)

// Whatever is missing - the switch, an approval, its key, its time, the tenant -
// the refusal is one and the same, and nothing is recorded for the other tenant.
func TestOtherTenantsAreRefusedInOneWay(t *testing.T) {
	signer, stranger := approverOf(t, "a"), approverOf(t, "b")
	good := bundle.Approval{Reader: "acme", Profile: "nightly", Tenant: "globex", ExpiresAt: untilNewYear}
	with := func(change func(*bundle.Approval)) bundle.Approval {
		a := good
		change(&a)
		return a
	}
	hurt := approve(t, signer, good)
	hurt["signature"] = strings.Replace(hurt["signature"].(string), `"sig":"`, `"sig":"A`, 1)
	revoked := approve(t, signer, good)
	off := func(cfg *frontend.Config) { cfg.CrossTenant.Enabled = false }
	bodies := map[string]string{}
	for name, tt := range map[string]struct {
		approval map[string]any
		change   func(*frontend.Config)
		before   func(*frontendtest.World)
	}{
		"no approval":     {approve(t, signer, with(func(a *bundle.Approval) { a.Tenant = "initech" })), nil, nil},
		"switched off":    {approve(t, signer, good), off, nil},
		"another profile": {approve(t, signer, with(func(a *bundle.Approval) { a.Profile = "daily" })), nil, nil},
		"another reader":  {approve(t, signer, with(func(a *bundle.Approval) { a.Reader = "initech" })), nil, nil},
		"a stranger's":    {approve(t, stranger, good), nil, nil},
		"hurt":            {hurt, nil, nil},
		"revoked": {revoked, func(cfg *frontend.Config) {
			cfg.CrossTenant.Revoked = []bundle.Digest{bundle.DigestOf([]byte(revoked["signature"].(string)))}
		}, nil},
		"expired": {approve(t, signer, with(func(a *bundle.Approval) { a.ExpiresAt = "2026-11-21T08:00:00Z" })), nil, nil},
		"suspended": {approve(t, signer, good), nil, func(w *frontendtest.World) {
			_, err := w.Tenants.ChangeTenant(t.Context(), "globex", export.TenantSuspended, export.TenantChange{})
			require.NoError(t, err)
		}},
		"unknown": {approve(t, signer, with(func(a *bundle.Approval) { a.Tenant = "nobody" })), nil, nil},
	} {
		change := func(*frontend.Config) {}
		if tt.change != nil {
			change = tt.change
		}
		w := trustingWorld(t, signer, change)
		if tt.before != nil {
			tt.before(w)
		}
		c := newCaller(t, w, "acme")
		c.nightly("nightly", withApprovals(t, tt.approval))
		asked := "globex"
		if name == "unknown" {
			asked = "nobody"
		}
		for _, options := range []string{`{}`, `{"dryRun":true}`} {
			a := c.send("POST", runsPath, `{"profileId":"nightly","selectors":{"tenants":["acme","`+asked+`"]},"options":`+options+`}`)
			require.Equal(t, 403, a.Status, "%s: %s", name, a.Body)
			require.Equal(t, string(export.CodeCrossTenant), a.problem(t).Code)
			bodies[name] = passing.ReplaceAllString(strings.ReplaceAll(a.Body, asked, "OTHER"), "")
		}
		require.Empty(t, w.Starter.Started, name)
		for _, tenant := range []string{"globex", "nobody"} {
			rows, _, err := w.Audit.Entries(t.Context(), tenant, storage.AuditFilter{Limit: 10})
			require.NoError(t, err)
			require.Empty(t, rows, "%s: a refusal makes no record of somebody else's", name)
		}
		require.Contains(t, w.Log.String(), "the evidence of another tenant is refused", "the operator sees why")
	}
	for name, body := range bodies {
		require.Equal(t, bodies["no approval"], body, name)
	}
}

func tenantReads(t testing.TB, w *frontendtest.World, chain string) (found []audit.Entry) {
	t.Helper()
	rows, _, err := w.Audit.Entries(t.Context(), chain, storage.AuditFilter{Limit: 100, Event: audit.TenantRead})
	require.NoError(t, err)
	for _, row := range rows {
		e, err := audit.Decode(row.Line)
		require.NoError(t, err)
		found = append(found, e)
	}
	return found
}

// What an approval covers is fixed with the request and told tenant by tenant; both
// tenants have it in their record, before the run is promised.
func TestAnApprovedReadingIsRecordedForBoth(t *testing.T) {
	signer := approverOf(t, "a")
	w := trustingWorld(t, signer)
	c := newCaller(t, w, "acme")
	whole := approve(t, signer, bundle.Approval{Reader: "acme", Profile: "nightly", Tenant: "globex", ExpiresAt: untilNewYear})
	c.nightly("nightly", withApprovals(t, whole))
	const asked = `{"profileId":"nightly","selectors":{"tenants":["acme","globex"]}`

	tag := c.send("POST", runsPath, asked+`,"options":{"dryRun":true}}`)
	require.Equal(t, 200, tag.Status, tag.Body)
	var price frontend.PriceTag
	require.NoError(t, json.Unmarshal([]byte(tag.Body), &price))
	require.EqualValues(t, 6, price.Records)
	require.EqualValues(t, 2, price.AsOf)
	require.Len(t, price.Kinds, 1)
	var shares []string
	for _, s := range price.Tenants {
		shares = append(shares, fmt.Sprintf("%s/%s %d", s.Tenant, s.Project, s.Records))
	}
	require.Equal(t, []string{"acme/_ 2", "globex/_ 3", "globex/web 1"}, shares)

	made := c.send("POST", runsPath, asked+`}`, "Idempotency-Key", "once", "X-Stella-Reason", "our own words")
	require.Equal(t, 202, made.Status, made.Body)
	run, err := w.Runs.GetRun(t.Context(), export.Ref{Tenant: "acme", RunID: made.run(t).RunID})
	require.NoError(t, err)
	require.Equal(t, []export.Reading{{Tenant: "acme", Project: "_", AsOf: 2}, {Tenant: "globex", Project: "_", AsOf: 4}, {Tenant: "globex", Project: "web", AsOf: 4}}, run.Reach.Readings)
	require.Equal(t, whole["signature"], run.Reach.Approvals[0].Signature)
	again := c.send("POST", runsPath, asked+`}`, "Idempotency-Key", "once")
	require.Equal(t, run.ID, again.run(t).RunID)

	for _, chain := range []string{"acme", "globex"} {
		entries := tenantReads(t, w, chain)
		require.Len(t, entries, 2, "%s: a dry run and a run; the request that was repeated reads nothing anew", chain)
		require.True(t, entries[0].Reading.DryRun)
		require.Empty(t, entries[0].Reading.RunID)
		e := entries[1]
		require.Equal(t, made.Header.Get("X-Stella-Request-Id"), e.RequestID)
		require.Equal(t, "tester@acme", e.Subject)
		require.Empty(t, e.Reason, "the reader's words are for its own record")
		require.Equal(t, audit.Reading{Reader: "acme", Tenant: "globex", Profile: "nightly", RunID: run.ID, Approver: "ops",
			ExpiresAt: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Approval: bundle.DigestOf([]byte(whole["signature"].(string)))}, *e.Reading)
	}
	listed := newCaller(t, w, "globex").send("GET", "/api/audit/entries?event=tenant.read", "")
	require.Equal(t, 200, listed.Status, listed.Body)
	require.Contains(t, listed.Body, `"reader":"acme"`)
	require.NotContains(t, listed.Body, "our own words")
}

// A request that is refused behind that, for want of room or for its key, is taken back
// in both records.
func TestAReadingThatDoesNotComeIsTakenBack(t *testing.T) {
	signer := approverOf(t, "a")
	w := trustingWorld(t, signer)
	w.Runs.Limits = storage.Limits{Active: 1, Pending: 1}
	c := newCaller(t, w, "acme")
	c.nightly("nightly", withApprovals(t, approve(t, signer, bundle.Approval{Reader: "acme", Profile: "nightly", Tenant: "globex", ExpiresAt: untilNewYear})))
	const asked = `{"profileId":"nightly","selectors":{"tenants":["acme","globex"]}}`
	for range 2 {
		require.Equal(t, 202, c.send("POST", runsPath, asked).Status)
	}
	require.Equal(t, 429, c.send("POST", runsPath, asked).Status)
	for _, chain := range []string{"acme", "globex"} {
		entries := tenantReads(t, w, chain)
		require.Len(t, entries, 4)
		last := entries[3]
		require.Equal(t, entries[2].Reading, last.Reading)
		require.Equal(t, "429 ERR_EXPORT_007", fmt.Sprint(last.Status, " ", last.Code))
		require.Zero(t, entries[2].Status)
	}
}

// An approval that names a project lets that one be read; a run of one's own needs none.
func TestAnApprovalOfOneProjectCoversThatOne(t *testing.T) {
	signer := approverOf(t, "a")
	w := trustingWorld(t, signer)
	c := newCaller(t, w, "acme")
	c.nightly("nightly", withApprovals(t, approve(t, signer, bundle.Approval{Reader: "acme", Profile: "nightly", Tenant: "globex", Project: "web", ExpiresAt: untilNewYear})))
	a := c.send("POST", runsPath, `{"profileId":"nightly","selectors":{"tenants":["acme","globex"]}}`)
	require.Equal(t, 202, a.Status, a.Body)
	run, err := w.Runs.GetRun(t.Context(), export.Ref{Tenant: "acme", RunID: a.run(t).RunID})
	require.NoError(t, err)
	require.Equal(t, []export.Reading{{Tenant: "acme", Project: "_", AsOf: 2}, {Tenant: "globex", Project: "web", AsOf: 4}}, run.Reach.Readings)
	require.Equal(t, "web", tenantReads(t, w, "globex")[0].Project)
	require.Equal(t, 202, c.send("POST", runsPath, `{"profileId":"nightly","selectors":{"tenants":["acme"]}}`).Status)
	require.Equal(t, 400, c.send("POST", runsPath, `{"profileId":"nightly","selectors":{"tenants":["globex"]}}`).Status)
	require.Len(t, tenantReads(t, w, "globex"), 1)
}

// What cannot be recorded for the other tenant is not done.
func TestAReadingThatCannotBeRecordedIsNotDone(t *testing.T) {
	signer := approverOf(t, "a")
	w := trustingWorld(t, signer)
	c := newCaller(t, w, "acme")
	c.nightly("nightly", withApprovals(t, approve(t, signer, bundle.Approval{Reader: "acme", Profile: "nightly", Tenant: "globex", ExpiresAt: untilNewYear})))
	w.Audit.Fail = func(tenant string, _ []audit.Entry) error {
		if tenant == "globex" {
			return errors.New("the record is full")
		}
		return nil
	}
	for _, options := range []string{`{}`, `{"dryRun":true}`} {
		a := c.send("POST", runsPath, `{"profileId":"nightly","selectors":{"tenants":["acme","globex"]},"options":`+options+`}`)
		require.Equal(t, 503, a.Status, a.Body)
	}
	runs, _, err := w.Runs.ListRuns(t.Context(), "acme", storage.RunFilter{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, runs)
	require.Empty(t, w.Starter.Started)
}
