package frontend_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// plainHeader is what net/http sends as the value of a header.
var plainHeader = regexp.MustCompile(`\A[ -~]+\z`)

// Whatever a name is, at every door it is one label or it is refused: in the claims of a
// token that is rightly signed, in the header, in bodies and in paths.
func TestNamesAtTheDoor(t *testing.T) {
	w := frontendtest.New(t)
	admin := administrator(t, w)
	acme := newCaller(t, w, "acme")
	admin.client, acme.client = http.DefaultClient, http.DefaultClient // names leave the document's own bounds
	claimed := func(claims map[string]any) answer {
		token := frontendtest.Sign(t, jwa.ES256(), w.Issuer.Key, map[string]any{"kid": frontendtest.KeyID, "typ": "JWT"}, claims)
		return (&caller{t: t, world: w, client: http.DefaultClient, token: token}).send("GET", "/api/export/me", "")
	}
	refused := func(a answer, name string) {
		t.Helper()
		require.True(t, a.Status >= 400 && a.Status < 500, "%.80q: %d %.200s", name, a.Status, a.Body)
	}
	profile := regexp.MustCompile(`\A[a-z0-9]([a-z0-9-]*[a-z0-9])?\z`)
	tenants, profiles := 0, 0
	for _, name := range testkit.Names() {
		good := export.ValidTenant(name)
		tenant, project := w.Issuer.Claims("acme", "export:read"), w.Issuer.Claims("acme", "export:read")
		tenant["tenant"], project["project"] = name, name
		for member, a := range map[string]answer{"tenant": claimed(tenant), "project": claimed(project)} {
			if !good {
				if member == "tenant" && name == export.Installation {
					continue // the administrator's
				}
				refused(a, name)
				continue
			}
			require.Equal(t, 200, a.Status, "%s: %s", name, a.Body)
			var me frontend.Me
			require.NoError(t, json.Unmarshal([]byte(a.Body), &me))
			require.Equal(t, name, map[string]string{"tenant": me.Tenant, "project": me.Project}[member])
		}
		if name != "acme" && name != "" && plainHeader.MatchString(name) && len(name) < 2000 {
			a := acme.send("GET", "/api/export/me", "", "X-Stella-Tenant", name)
			if name != " acme" && name != "acme " { // HTTP takes the spaces away
				refused(a, name)
			}
		}
		if !utf8.ValidString(name) {
			continue // what is not text never comes out of JSON
		}
		text, err := json.Marshal(name)
		require.NoError(t, err)
		switch a := admin.send("POST", "/api/tenants", `{"tenant":`+string(text)+`}`); {
		case good:
			require.Equal(t, 201, a.Status, a.Body)
			require.Equal(t, "/api/tenants/"+name, a.Header.Get("Location"))
			tenants++
		default:
			refused(a, name)
		}
		a := acme.send("POST", "/api/export/profiles", `{"name":`+string(text)+`,"kind":"json","variant":"raw","config":{}}`)
		if a.Status != 201 {
			refused(a, name)
		} else {
			profiles++
			require.Regexp(t, profile, name)
			require.LessOrEqual(t, len(name), 64)
		}
		if len(name) < 2000 {
			for _, path := range []string{"/api/export/runs/", "/api/tenants/", "/api/ledger/documents/"} {
				a := admin.send("GET", path+url.PathEscape(name), "")
				require.True(t, a.Status < 500, "%s%.80q: %d", path, name, a.Status)
				if path != "/api/tenants/" && name != "" {
					refused(acme.send("GET", path+url.PathEscape(name), ""), name)
				}
			}
		}
	}
	require.Greater(t, tenants, 10)
	require.Greater(t, profiles, 5)
	all, err := w.Tenants.ListTenants(t.Context(), "", 10_000)
	require.NoError(t, err)
	for _, kept := range all {
		require.True(t, export.ValidTenant(kept.Name), "%.80q is kept as a tenant", kept.Name)
	}
}
