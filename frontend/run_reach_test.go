package frontend_test

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/signing"
)

// Another tenant's evidence is refused, and the reason says what is missing: the
// switch, an approval, or - in this version - the reading itself.
func TestOtherTenantsAreRefusedWithTheReason(t *testing.T) {
	signer, err := signing.NewSigner(ed25519.NewKeyFromSeed([]byte(strings.Repeat("a", 32))))
	require.NoError(t, err)
	key, err := signing.ParsePublicKey(signer.PublicKeyPEM())
	require.NoError(t, err)
	refused := func(c *caller, profile, tenant string) string {
		a := c.send("POST", runsPath, `{"profileId":"`+profile+`","selectors":{"tenants":["acme","`+tenant+`"]}}`)
		require.Equal(t, 403, a.Status, a.Body)
		p := a.problem(t)
		require.Equal(t, string(export.CodeCrossTenant), p.Code)
		require.Equal(t, "selectors.tenants", p.Details[0].Field)
		return p.Message
	}
	require.Contains(t, refused(newCaller(t, frontendtest.New(t), "acme"), "json:raw", "globex"), "switched off")

	w := frontendtest.New(t, func(cfg *frontend.Config) {
		cfg.CrossTenant = frontend.CrossTenant{Enabled: true, Approvers: []signing.Verifier{key}}
	})
	c := newCaller(t, w, "acme")
	approval := func(profile, until string) string {
		text, err := bundle.MarshalCanonical(profiles.ApprovalStatement{Version: "1", Reader: "acme", Profile: profile, Tenant: "globex", Approver: "ops", ExpiresAt: until})
		require.NoError(t, err)
		envelope, err := signing.SignEnvelope(t.Context(), signer, profiles.ApprovalType, text)
		require.NoError(t, err)
		config, err := json.Marshal(map[string]any{"approvals": []any{map[string]any{"tenant": "globex", "approver": "ops", "expiresAt": until, "signature": string(envelope)}}})
		require.NoError(t, err)
		return string(config)
	}
	c.nightly("nightly", approval("nightly", "2027-01-01T00:00:00Z"))
	c.nightly("stolen", approval("nightly", "2027-01-01T00:00:00Z"))
	c.nightly("expired", approval("expired", "2026-11-21T08:00:00Z"))
	require.Contains(t, refused(c, "json:raw", "globex"), "no approval of profile json-raw covers tenant globex: the profile has none")
	require.Contains(t, refused(c, "nightly", "initech"), "the profile has none")
	require.Contains(t, refused(c, "stolen", "globex"), `it was signed for profile "nightly" of tenant "acme"`)
	require.Contains(t, refused(c, "expired", "globex"), "it expired")
	require.Contains(t, refused(c, "nightly", "globex"), "does not read the evidence of other tenants yet")
	require.Empty(t, w.Starter.Started)
	require.Equal(t, 202, c.send("POST", runsPath, `{"profileId":"nightly","selectors":{"tenants":["acme"]}}`).Status)
}
