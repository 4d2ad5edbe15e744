package frontend_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

var me = endpoint{"GetMe", "GET", "/api/export/me"}

// bound sends a request with a bound token and the given DPoP header, "" for none.
func (f *forge) bound(to endpoint, url, scheme, proof string) answer {
	c := &caller{t: f.t, world: f.world, client: f.client}
	headers := []string{"Authorization", scheme + " " + f.token}
	if proof != "" {
		headers = append(headers, "DPoP", proof)
	}
	return c.send(to.method, strings.TrimPrefix(url, f.world.URL)+to.path, "", headers...)
}

func TestABoundTokenIsNeverTakenPlain(t *testing.T) {
	w := frontendtest.New(t)
	f := newForge(t, w)
	for _, scheme := range []string{"Bearer", "DPoP"} {
		for range 2 { // the second time the token is remembered
			require.Equal(t, 401, f.bound(me, w.URL, scheme, "").Status)
			require.Equal(t, 200, f.bound(me, w.URL, scheme, f.proof(w, me, f.token)).Status)
		}
	}
}

func TestAProofServesOnce(t *testing.T) {
	w := frontendtest.New(t)
	f := newForge(t, w)
	proof := f.proof(w, me, f.token)
	require.Equal(t, 200, f.bound(me, w.URL, "DPoP", proof).Status)
	for range 2 {
		a := f.bound(me, w.URL, "DPoP", proof)
		require.Equal(t, 401, a.Status)
		require.Contains(t, a.problem(t).Message, string(dpop.ReasonReplayed))
		require.Contains(t, a.Header.Get("WWW-Authenticate"), "invalid_dpop_proof")
	}
}

// An unbound token and a proof do not go together: whoever sends them believes
// that the token is bound.
func TestAnUnboundTokenComesPlainOrNotAtAll(t *testing.T) {
	w := frontendtest.New(t)
	f := newForge(t, w)
	f.token = w.Issuer.Token(t, "acme", "export:read")
	require.Equal(t, 200, f.bound(me, w.URL, "Bearer", "").Status)
	for _, scheme := range []string{"Bearer", "DPoP"} {
		a := f.bound(me, w.URL, scheme, f.proof(w, me, f.token))
		require.Equal(t, 401, a.Status)
		require.Contains(t, a.problem(t).Message, "bound to no key")
	}
	require.Equal(t, 401, f.bound(me, w.URL, "DPoP", "").Status)
}

func TestAnInstallationMayTakeBoundTokensOnly(t *testing.T) {
	w := frontendtest.New(t, func(c *frontend.Config) { c.RequireDPoP, c.PublicURL = true, "http://localhost:1" })
	f := newForge(t, w)
	require.Equal(t, 200, f.bound(me, w.URL, "DPoP", f.proof(w, me, f.token)).Status)
	f.token = w.Issuer.Token(t, "acme", "export:read")
	a := f.bound(me, w.URL, "Bearer", "")
	require.Equal(t, 401, a.Status)
	require.Equal(t, []string{`DPoP realm="exportcenter", error="invalid_token", algs="ES256 EdDSA"`}, a.Header.Values("WWW-Authenticate"))

	broken := frontend.Config{}
	frontendtest.New(t, func(c *frontend.Config) { broken = *c })
	broken.RequireDPoP = true
	_, err := frontend.New(broken)
	require.ErrorContains(t, err, "PublicURL")
}

// Away from loopback the configured address counts, whatever the Host header says.
func TestTheAddressOfAProof(t *testing.T) {
	tests := []struct {
		public, host, htu string
		good              bool
	}{
		{"", "", "http://127.0.0.1:0", true}, // :0 stands for the World's port
		{"", "localhost", "http://localhost", true},
		{"", "[::1]:8480", "http://[::1]:8480", true},
		{"", "export.test", "http://export.test", false},
		{"", "127.0.0.1.evil.test", "http://127.0.0.1.evil.test", false},
		{"http://127.0.0.1:8480", "", "http://127.0.0.1:8480", true},
		{"http://127.0.0.1:8480", "localhost:8480", "http://localhost:8480", true},
		{"http://127.0.0.1:8480", "export.test", "http://export.test", false},
		{"https://export.test", "export.test", "https://export.test", true},
		{"https://export.test", "", "https://export.test", true},
		{"https://export.test/", "evil.test", "https://export.test:443", true},
		{"https://export.test", "evil.test", "https://evil.test", false},
		{"https://export.test", "127.0.0.1", "http://127.0.0.1", false},
		{"https://export.test/center", "export.test", "https://export.test/center", true},
		{"https://export.test/center", "export.test", "https://export.test", false},
	}
	for _, tt := range tests {
		t.Run(tt.public+" "+tt.host+" "+tt.htu, func(t *testing.T) {
			w := frontendtest.New(t, func(c *frontend.Config) { c.PublicURL = tt.public })
			f := newForge(t, w)
			htu := tt.htu
			if htu == "http://127.0.0.1:0" {
				htu = w.URL
			}
			proof, err := f.key.Proof(dpop.Claims{Method: "GET", Address: htu + me.path + "?limit=1", Token: f.token, Now: w.Now()})
			require.NoError(t, err)
			req, err := http.NewRequest("GET", w.URL+me.path, nil)
			require.NoError(t, err)
			req.Host = tt.host
			req.Header.Set("Authorization", "DPoP "+f.token)
			req.Header.Set("DPoP", proof)
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, tt.good, resp.StatusCode == 200, "%d", resp.StatusCode)
		})
	}
}

// HEAD is served as GET, but its proof is for HEAD.
func TestAProofForHead(t *testing.T) {
	w := frontendtest.New(t)
	f := newForge(t, w)
	head := endpoint{me.name, "HEAD", me.path}
	require.Equal(t, 200, f.bound(head, w.URL, "DPoP", f.proof(w, head, f.token)).Status)
	require.Equal(t, 401, f.bound(head, w.URL, "DPoP", f.proof(w, me, f.token)).Status)
}

func TestTheServersNonce(t *testing.T) {
	w := frontendtest.New(t)
	f := newForge(t, w)
	w.Proofs.Set(nil, "wanted-now")
	a := f.bound(me, w.URL, "DPoP", f.proof(w, me, f.token))
	require.Equal(t, 401, a.Status)
	require.Equal(t, "wanted-now", a.Header.Get("DPoP-Nonce"))
	require.Contains(t, a.Header.Get("WWW-Authenticate"), `error="use_dpop_nonce"`)
	proof, err := f.key.Proof(dpop.Claims{Method: "GET", Address: w.URL + me.path, Token: f.token, Nonce: "wanted-now", Now: w.Now()})
	require.NoError(t, err)
	require.Equal(t, 200, f.bound(me, w.URL, "DPoP", proof).Status)
}

// Without the memory of used proofs nobody comes in.
func TestADeadMemoryRefuses(t *testing.T) {
	w := frontendtest.New(t)
	f := newForge(t, w)
	w.Proofs.Set(errors.New("no route to 10.1.2.3"), "")
	a := f.bound(me, w.URL, "DPoP", f.proof(w, me, f.token))
	require.Equal(t, 503, a.Status)
	require.Equal(t, "ERR_EXPORT_UNAVAILABLE", a.problem(t).Code)
	require.NotContains(t, a.Body, "10.1.2.3")
	require.Empty(t, a.Header.Get("WWW-Authenticate"), "it is not the client's fault")
}

func TestTwoServersShareTheMemory(t *testing.T) {
	one := frontendtest.New(t)
	other := frontendtest.New(t, func(c *frontend.Config) { c.Proofs, c.PublicURL = one.Proofs, one.URL })
	f := newForge(t, one)
	// The other believes the same issuer.
	other.Issuer.Publish(t, map[string]any{frontendtest.KeyID: one.Issuer.Key.Public()})
	proof := f.proof(one, me, f.token)
	send := func(w *frontendtest.World) int {
		c := &caller{t: t, world: w, client: w.Client(t)}
		return c.send("GET", me.path, "", "Authorization", "DPoP "+f.token, "DPoP", proof).Status
	}
	require.Equal(t, 200, send(one))
	require.Equal(t, 401, send(other))
	proof = f.proof(one, me, f.token)
	require.Equal(t, 200, send(other))
	require.Equal(t, 401, send(one))
}

func TestMe(t *testing.T) {
	w := frontendtest.New(t)
	read := func(claims map[string]any) frontend.Me {
		token := frontendtest.Sign(t, jwa.ES256(), w.Issuer.Key, map[string]any{"kid": frontendtest.KeyID}, claims)
		c := &caller{t: t, world: w, client: w.Client(t), token: token}
		a := c.send("GET", me.path, "")
		require.Equal(t, 200, a.Status, a.Body)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		var got frontend.Me
		require.NoError(t, json.Unmarshal([]byte(a.Body), &got))
		return got
	}
	claims := w.Issuer.Claims("acme", "export:read", "openid")
	claims["project"] = "web"
	claims["roles"] = []any{"Export.Viewer", "Other.Admin", "Export.Viewer"}
	got := read(claims)
	require.Equal(t, []string{"export:download", "export:read", "openid"}, got.Scopes)
	require.Equal(t, []frontend.MeRoles{"Export.Viewer"}, got.Roles)
	require.Equal(t, "acme web tester@acme", got.Tenant+" "+got.Project+" "+got.Subject)
	require.Equal(t, w.Now().Truncate(time.Second).Add(time.Hour), got.ExpiresAt)
	require.False(t, got.DpopBound)
	require.Contains(t, got.Actions, "ListRuns")
	require.Contains(t, got.Actions, "DownloadRun")
	require.NotContains(t, got.Actions, "CreateRun")
	require.NotContains(t, got.Actions, "Live")

	claims = w.Issuer.Claims("acme")
	delete(claims, "scope")
	claims["roles"] = []any{"Export.Operator"}
	require.Contains(t, read(claims).Actions, "CreateRun")

	all := read(w.Issuer.Claims(export.Installation, export.Scopes...))
	require.Equal(t, []string{"tenant:manage", "tenant:offboard"}, all.Scopes, "an administrator of tenants opens none of them")
	require.NotContains(t, all.Actions, "ListRuns")
	require.Equal(t, "_", all.Tenant)
}

// Actions and the doors agree: what is listed is not refused, what is not is.
func TestActionsAreWhatTheDoorsSay(t *testing.T) {
	w := frontendtest.New(t)
	client := w.Client(t)
	for _, scope := range frontendtest.AllScopes {
		c := &caller{t: t, world: w, client: client, token: w.Issuer.Token(t, "acme", scope)}
		var got frontend.Me
		require.NoError(t, json.Unmarshal([]byte(c.send("GET", me.path, "").Body), &got))
		for _, to := range endpoints(t) {
			a := c.send(to.method, to.path, "{}")
			refused := a.Status == 403 && a.problem(t).Code == "ERR_EXPORT_SCOPE"
			require.Equal(t, !slices.Contains(got.Actions, to.name), refused, "%s with %s: %d", to.name, scope, a.Status)
		}
	}
}
