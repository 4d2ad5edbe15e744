package devissuer_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/devissuer"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

// asking is a client that asks for tokens.
type asking struct {
	t      *testing.T
	world  *frontendtest.World
	key    *dpop.Key
	secret string
}

func newAsking(t *testing.T) *asking {
	w, register := frontendtest.WithLogin(t, func(c *frontend.Config) { c.RequireDPoP, c.PublicURL = true, "http://127.0.0.1" })
	key, err := dpop.NewKey()
	require.NoError(t, err)
	return &asking{t: t, world: w, key: key, secret: register(devissuer.Client{ID: "ci", Tenant: "acme",
		Scopes: []string{export.ScopeLedgerRead}, Roles: []export.Role{export.RoleViewer}, Created: clock.System()})}
}

func (a *asking) proof(token string, edit func(*dpop.Claims)) string {
	c := dpop.Claims{Method: "POST", Address: a.world.URL + "/oauth/token", Token: token, Now: a.world.Now()}
	edit(&c)
	proof, err := a.key.Proof(c)
	require.NoError(a.t, err)
	return proof
}

// ask sends a request, changed by edit, and gives the status and what was said.
func (a *asking) ask(form url.Values, edit func(*http.Request)) (int, map[string]any, http.Header) {
	a.t.Helper()
	req, err := http.NewRequest("POST", a.world.URL+"/oauth/token", strings.NewReader(form.Encode()))
	require.NoError(a.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("ci", a.secret)
	req.Header.Set("DPoP", a.proof("", func(*dpop.Claims) {}))
	edit(req)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(a.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(a.t, err)
	var said map[string]any
	require.NoError(a.t, json.Unmarshal(raw, &said), string(raw))
	require.Equal(a.t, "no-store", resp.Header.Get("Cache-Control"))
	return resp.StatusCode, said, resp.Header
}

var grant = url.Values{"grant_type": {"client_credentials"}}

func nothing(*http.Request) {}

func TestATokenForItsKeyAlone(t *testing.T) {
	a := newAsking(t)
	status, said, _ := a.ask(grant, nothing)
	require.Equal(t, 200, status)
	require.Equal(t, "DPoP", said["token_type"])
	require.EqualValues(t, 300, said["expires_in"])
	require.Equal(t, "export:download export:read ledger:read", said["scope"])
	token := said["access_token"].(string)

	use := func(key *dpop.Key) int {
		req, err := http.NewRequest("GET", a.world.URL+"/api/export/me", nil)
		require.NoError(t, err)
		proof, err := key.Proof(dpop.Claims{Method: "GET", Address: req.URL.String(), Token: token, Now: a.world.Now()})
		require.NoError(t, err)
		req.Header.Set("Authorization", "DPoP "+token)
		req.Header.Set("DPoP", proof)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	thief, err := dpop.NewKey()
	require.NoError(t, err)
	require.Equal(t, 200, use(a.key))
	require.Equal(t, 401, use(thief))
	a.world.SetTime(a.world.Now().Add(devissuer.Lifetime + 61*time.Second))
	require.Equal(t, 401, use(a.key), "it lives five minutes, and a minute for clocks")
	for _, secret := range []string{a.secret, token, "eyJ"} {
		require.NotContains(t, a.world.Log.String(), secret)
	}
}

func TestATokenForLess(t *testing.T) {
	a := newAsking(t)
	ask := func(scope string) (int, map[string]any) {
		status, said, _ := a.ask(url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}, nothing)
		return status, said
	}
	status, said := ask("export:read")
	require.Equal(t, 200, status)
	require.Equal(t, "export:read", said["scope"])
	for _, more := range []string{"export:run", "export:read export:run", "tenant:manage", "x"} {
		status, said = ask(more)
		require.Equal(t, "400 invalid_scope", text(status, said), more)
	}
}

func text(status int, said map[string]any) string {
	return fmt.Sprint(status, " ", said["error"])
}

func TestRequestsThatAreRefused(t *testing.T) {
	a := newAsking(t)
	used := a.proof("", func(*dpop.Claims) {})
	status, _, _ := a.ask(grant, func(r *http.Request) { r.Header.Set("DPoP", used) })
	require.Equal(t, 200, status)
	tests := []struct {
		name, want string
		form       url.Values
		edit       func(*http.Request)
	}{
		{"no secret", "401 invalid_client", grant, func(r *http.Request) { r.Header.Del("Authorization") }},
		{"wrong secret", "401 invalid_client", grant, func(r *http.Request) { r.SetBasicAuth("ci", "x") }},
		{"empty secret", "401 invalid_client", grant, func(r *http.Request) { r.SetBasicAuth("ci", "") }},
		{"unknown client", "401 invalid_client", grant, func(r *http.Request) { r.SetBasicAuth("no", a.secret) }},
		{"unknown and empty", "401 invalid_client", grant, func(r *http.Request) { r.SetBasicAuth("", "") }},
		{"two headers", "401 invalid_client", grant, func(r *http.Request) { r.Header.Add("Authorization", "Basic x") }},
		{"other grant", "400 unsupported_grant_type", url.Values{"grant_type": {"password"}}, nothing},
		{"no grant", "400 unsupported_grant_type", url.Values{}, nothing},
		{"twice", "400 invalid_request", url.Values{"grant_type": {"client_credentials", "client_credentials"}}, nothing},
		{"in the query", "400 invalid_request", grant, func(r *http.Request) { r.URL.RawQuery = "scope=x" }},
		{"JSON", "400 invalid_request", grant, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }},
		{"large", "400 invalid_request", url.Values{"x": {strings.Repeat("x", 20<<10)}}, nothing},
		{"no proof", "400 invalid_dpop_proof", grant, func(r *http.Request) { r.Header.Del("DPoP") }},
		{"two proofs", "400 invalid_dpop_proof", grant, func(r *http.Request) { r.Header.Add("DPoP", "x") }},
		{"used proof", "400 invalid_dpop_proof", grant, func(r *http.Request) { r.Header.Set("DPoP", used) }},
		{"proof for another place", "400 invalid_dpop_proof", grant, func(r *http.Request) {
			r.Header.Set("DPoP", a.proof("", func(c *dpop.Claims) { c.Address = a.world.URL + "/api/export/me" }))
		}},
		{"old proof", "400 invalid_dpop_proof", grant, func(r *http.Request) {
			r.Header.Set("DPoP", a.proof("", func(c *dpop.Claims) { c.Now = c.Now.Add(-2 * time.Minute) }))
		}},
		{"another host", "400 invalid_dpop_proof", grant, func(r *http.Request) {
			r.Host = "issuer.test"
			r.Header.Set("DPoP", a.proof("", func(c *dpop.Claims) { c.Address = "http://issuer.test/oauth/token" }))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, said, header := a.ask(tt.form, tt.edit)
			require.Equal(t, tt.want, text(status, said))
			require.Equal(t, status == 401, header.Get("WWW-Authenticate") != "")
		})
	}
	a.world.Proofs.Set(nil, "wanted")
	status, said, header := a.ask(grant, nothing)
	require.Equal(t, "400 use_dpop_nonce", text(status, said))
	require.Equal(t, "wanted", header.Get("DPoP-Nonce"))
	a.world.Proofs.Set(os.ErrDeadlineExceeded, "")
	status, said, _ = a.ask(grant, nothing)
	require.Equal(t, "503 temporarily_unavailable", text(status, said))
}

func TestTheRegister(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clients.json")
	good := devissuer.Client{ID: "ci", Tenant: "acme", Scopes: []string{"export:read"}}
	secret, err := devissuer.Add(path, good)
	require.NoError(t, err)
	require.Greater(t, len(secret), 24)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(raw), secret)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	_, err = devissuer.Add(path, good)
	require.ErrorContains(t, err, "already")
	for name, bad := range map[string]devissuer.Client{
		"id":                   {ID: "../x", Tenant: "acme", Scopes: []string{"export:read"}},
		"tenant":               {ID: "x", Tenant: "A", Scopes: []string{"export:read"}},
		"project":              {ID: "x", Tenant: "acme", Project: "..", Scopes: []string{"export:read"}},
		"nothing":              {ID: "x", Tenant: "acme"},
		"scope":                {ID: "x", Tenant: "acme", Scopes: []string{"export:all"}},
		"role":                 {ID: "x", Tenant: "acme", Roles: []export.Role{"Admin"}},
		"tenant that manages":  {ID: "x", Tenant: "acme", Scopes: []string{"tenant:manage"}},
		"tenant that removes":  {ID: "x", Tenant: "acme", Scopes: []string{"tenant:offboard"}},
		"manager that exports": {ID: "x", Tenant: "_", Scopes: []string{"tenant:manage", "export:read"}},
		"manager with a role":  {ID: "x", Tenant: "_", Scopes: []string{"tenant:manage"}, Roles: []export.Role{"Export.Viewer"}},
	} {
		_, err := devissuer.Add(path, bad)
		require.Error(t, err, name)
	}
	_, err = devissuer.Add(path, devissuer.Client{ID: "root", Tenant: "_", Scopes: []string{"tenant:manage", "tenant:offboard"}})
	require.NoError(t, err)
	require.Error(t, devissuer.Remove(path, "nobody"))
	require.NoError(t, devissuer.Remove(path, "ci"))
	clients, err := devissuer.Clients(path)
	require.NoError(t, err)
	require.Len(t, clients, 1)
	for _, broken := range []string{"", "{}x", `{"clients":[{"id":"a"}]}`, `{"clients":[],"clients":[]}`, strings.Repeat(" ", 2<<20)} {
		require.NoError(t, os.WriteFile(path, []byte(broken), 0o600))
		_, err := devissuer.Clients(path)
		require.Error(t, err, "%.40q", broken)
	}
}
