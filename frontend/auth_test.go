package frontend_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// operation is one call of the API as the matrix makes it.
type operation struct {
	name, method, path, body, mediaType string
	scopes                              []string // each alone is enough
}

func operations(runID string) []operation {
	runs := "/api/export/runs"
	return []operation{
		{"CreateRun", "POST", runs, `{"profileId":"json:raw"}`, "application/json", []string{"export:run"}},
		{"ListRuns", "GET", runs, "", "", []string{"export:read"}},
		{"GetRun", "GET", runs + "/" + runID, "", "", []string{"export:read"}},
		{"CancelRun", "POST", runs + "/" + runID + "/cancel", "{}", "application/json", []string{"export:run"}},
		{"StreamEvents", "GET", runs + "/" + runID + "/events?follow=false", "", "", []string{"export:read"}},
		{"DownloadRun", "GET", runs + "/" + runID + "/download", "", "", []string{"export:download"}},
		{"VerifyRun", "POST", runs + "/" + runID + "/verify", "", "", []string{"export:read"}},
		{"GetAttestation", "GET", runs + "/" + runID + "/attestation", "", "", []string{"export:read"}},
		{"GetExportAttestation", "GET", "/exports/" + runID + "/attestation", "", "", []string{"export:read"}},
		{"GetManifest", "GET", runs + "/" + runID + "/manifest", "", "", []string{"export:read", "export:download"}},
		{"GetProvenance", "GET", runs + "/" + runID + "/provenance", "", "", []string{"export:read", "export:download"}},
		{"RecordExport", "POST", "/internal/orchestrator/exports", "{}", "application/json", []string{"orchestrator:exports:write"}},
		{"ListExportRecords", "GET", "/internal/orchestrator/exports", "", "", []string{"orchestrator:exports:write", "export:read"}},
		{"ImportDocuments", "POST", "/api/ledger/documents", "{}\n", "application/x-ndjson", []string{"ledger:import"}},
		{"RemoveDocuments", "POST", "/api/ledger/removals", `{"documents":[{"source":"osv","stream":"npm","kind":"advisory","upstreamId":"A"}]}`, "application/json", []string{"ledger:import"}},
		{"GetDocument", "GET", "/api/ledger/documents/sha256:" + strings.Repeat("0", 64), "", "", []string{"ledger:read"}},
	}
}

func (c *caller) call(op operation) answer {
	c.t.Helper()
	if op.name == "RecordExport" { // the one operation that wants the tenant said
		return c.send(op.method, op.path, op.body, "Content-Type", op.mediaType, "X-Stella-Tenant", "acme")
	}
	return c.send(op.method, op.path, op.body, "Content-Type", op.mediaType)
}

// badTokens are tokens that must be refused, by what is wrong with them.
func badTokens(t *testing.T, w *frontendtest.World) map[string]string {
	t.Helper()
	i := w.Issuer
	good := func() map[string]any { return i.Claims("acme", frontendtest.AllScopes...) }
	head := func(pairs ...any) map[string]any {
		h := map[string]any{"kid": frontendtest.KeyID, "typ": "JWT"}
		for n := 0; n+1 < len(pairs); n += 2 {
			h[pairs[n].(string)] = pairs[n+1]
		}
		return h
	}
	sign := func(header, claims map[string]any) string {
		return frontendtest.Sign(t, jwa.ES256(), i.Key, header, claims)
	}
	with := func(name string, value any) string {
		claims := good()
		claims[name] = value
		return sign(head(), claims)
	}
	without := func(name string) string {
		claims := good()
		delete(claims, name)
		return sign(head(), claims)
	}
	raw := func(header, claims string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	}
	claimsJSON, err := json.Marshal(good())
	require.NoError(t, err)
	now := w.Now().Unix()
	fine := i.Token(t, "acme", frontendtest.AllScopes...)
	parts := strings.Split(fine, ".")
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(i.Key.Public())
	require.NoError(t, err)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	publicPoint, err := i.Key.PublicKey.Bytes()
	require.NoError(t, err)

	return map[string]string{
		"empty":                     "",
		"garbage":                   "x",
		"two dots":                  "..",
		"not base64":                "a!.b!.c!",
		"five parts":                "a.b.c.d.e",
		"expired":                   with("exp", now-61),
		"no exp":                    without("exp"),
		"exp as text":               with("exp", "tomorrow"),
		"not yet valid":             with("nbf", now+120),
		"issued in the future":      with("iat", now+120),
		"no iat":                    without("iat"),
		"other issuer":              with("iss", "https://evil.test"),
		"no issuer":                 without("iss"),
		"other audience":            with("aud", "somebody-else"),
		"other audiences":           with("aud", []string{"a", "b"}),
		"no audience":               without("aud"),
		"no subject":                without("sub"),
		"empty subject":             with("sub", ""),
		"tenant with slash":         with("tenant", "a/b"),
		"tenant upwards":            with("tenant", "../acme"),
		"tenant in capitals":        with("tenant", "ACME"),
		"tenant look-alike":         with("tenant", "асme"),
		"tenant too long":           with("tenant", strings.Repeat("a", 1000)),
		"empty tenant":              with("tenant", ""),
		"tenant as list":            with("tenant", []string{"acme", "other"}),
		"tenant as object":          with("tenant", map[string]any{"id": "acme"}),
		"project upwards":           with("project", ".."),
		"scope as list":             with("scope", frontendtest.AllScopes),
		"bound to a key":            with("cnf", map[string]any{"jkt": "x"}),
		"two tenants":               frontendtest.SignRaw(t, jwa.ES256(), i.Key, head(), []byte(strings.Replace(string(claimsJSON), "{", `{"tenant":"other",`, 1))),
		"alg none":                  raw(`{"alg":"none","typ":"JWT"}`, string(claimsJSON)) + ".",
		"alg None with signature":   raw(`{"alg":"None","kid":"key-1"}`, string(claimsJSON)) + "." + parts[2],
		"HS256 with public key PEM": frontendtest.Sign(t, jwa.HS256(), publicPEM, head(), good()),
		"HS256 with public point":   frontendtest.Sign(t, jwa.HS256(), publicPoint, head(), good()),
		"HS256 with DER":            frontendtest.Sign(t, jwa.HS256(), der, head(), good()),
		"ES256 by a stranger":       frontendtest.Sign(t, jwa.ES256(), stranger, head(), good()),
		"RS256 with the EC kid":     frontendtest.Sign(t, jwa.RS256(), rsaKey, head(), good()),
		"EdDSA with the EC kid":     frontendtest.Sign(t, jwa.EdDSA(), edKey, head(), good()),
		"unknown kid":               sign(head("kid", "key-2"), good()),
		"kid as path":               sign(head("kid", "../../etc/passwd"), good()),
		"kid as SQL":                sign(head("kid", "' OR 1=1 --"), good()),
		"kid as URL":                sign(head("kid", "http://127.0.0.1/jwks"), good()),
		"jku":                       sign(head("jku", "https://evil.test/jwks.json"), good()),
		"x5u":                       sign(head("x5u", "https://evil.test/cert.pem"), good()),
		"crit":                      raw(`{"alg":"ES256","kid":"key-1","crit":["exp"],"exp":1}`, string(claimsJSON)) + "." + parts[2],
		"b64 false":                 raw(`{"alg":"ES256","kid":"key-1","b64":false,"crit":["b64"]}`, string(claimsJSON)) + "." + parts[2],
		"zip":                       sign(head("zip", "DEF"), good()),
		"embedded jwk":              raw(`{"alg":"ES256","jwk":{"kty":"EC"}}`, string(claimsJSON)) + "." + parts[2],
		"two algs":                  raw(`{"alg":"none","alg":"ES256","kid":"key-1"}`, string(claimsJSON)) + "." + parts[2],
		"alg in other case":         raw(`{"Alg":"ES256","kid":"key-1"}`, string(claimsJSON)) + "." + parts[2],
		"DPoP proof as token":       sign(head("typ", "dpop+jwt"), good()),
		"claims of another":         parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(claimsJSON), "acme", "evil", 1))) + "." + parts[2],
		"no signature":              parts[0] + "." + parts[1] + ".",
		"signature cut":             fine[:len(fine)-2],
		"padded base64":             parts[0] + "=." + parts[1] + "." + parts[2],
		"huge":                      with("note", strings.Repeat("x", 9<<10)),
		"signature of zeros":        parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"nested JSON header":        raw(strings.Repeat(`{"a":`, 500), string(claimsJSON)) + "." + parts[2],
	}
}

func TestEveryOperationRefusesBadTokens(t *testing.T) {
	w := frontendtest.New(t)
	run, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newCaller(t, w, "acme")
	for name, token := range badTokens(t, w) {
		for _, op := range operations(run.ID) {
			t.Run(op.name+"/"+name, func(t *testing.T) {
				c := &caller{t: t, world: w, client: c.client, token: token}
				a := c.call(op)
				require.Equal(t, 401, a.Status, a.Body)
				require.Equal(t, "ERR_EXPORT_AUTH", a.problem(t).Code)
				require.NotEmpty(t, a.Header.Get("WWW-Authenticate"))
			})
		}
	}
	for _, token := range badTokens(t, w) {
		if len(token) > 20 {
			require.NotContains(t, w.Log.String(), token)
		}
	}
}

func TestEveryBitOfATokenCounts(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	good := c.token
	require.Equal(t, 200, c.send("GET", "/api/export/runs", "").Status)
	accepted := 0
	for at := range len(good) {
		if at%3 != 0 && at < len(good)-2 { // the last character has bits to spare
			continue
		}
		for _, bit := range []byte{1, 2, 4, 8, 16} {
			spoilt := []byte(good)
			spoilt[at] ^= bit
			if spoilt[at] <= ' ' || spoilt[at] >= 127 {
				continue
			}
			c.token = string(spoilt)
			if a := c.send("GET", "/api/export/runs", ""); a.Status != 401 {
				accepted++
				t.Errorf("byte %d xor %d: %d", at, bit, a.Status)
			}
		}
	}
	require.Zero(t, accepted)
}

func TestScopesDecideExactlyAsTheDocumentSays(t *testing.T) {
	w := frontendtest.New(t)
	client := w.Client(t)
	run, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	for _, op := range operations(run.ID) {
		for _, scope := range append([]string{"", "export", "export:runs", "admin"}, frontendtest.AllScopes...) {
			c := &caller{t: t, world: w, client: client, token: w.Issuer.Token(t, "acme", scope)}
			a := c.call(op)
			wanted := false
			for _, s := range op.scopes {
				wanted = wanted || s == scope
			}
			if wanted {
				require.NotContains(t, []int{401, 403}, a.Status, "%s with %q: %s", op.name, scope, a.Body)
				continue
			}
			require.Equal(t, 403, a.Status, "%s with %q: %s", op.name, scope, a.Body)
			p := a.problem(t)
			require.Equal(t, "ERR_EXPORT_SCOPE", p.Code)
			require.Contains(t, p.Message, op.scopes[0])
		}
		allBut := []string{}
		for _, s := range frontendtest.AllScopes {
			if !strings.Contains(strings.Join(op.scopes, " "), s) {
				allBut = append(allBut, s)
			}
		}
		c := &caller{t: t, world: w, client: client, token: w.Issuer.Token(t, "acme", allBut...)}
		require.Equal(t, 403, c.call(op).Status, op.name)
	}
}

func TestTokenWithoutTenant(t *testing.T) {
	w := frontendtest.New(t)
	claims := w.Issuer.Claims("acme", frontendtest.AllScopes...)
	delete(claims, "tenant")
	c := &caller{t: t, world: w, client: w.Client(t),
		token: frontendtest.Sign(t, jwa.ES256(), w.Issuer.Key, map[string]any{"kid": frontendtest.KeyID}, claims)}
	for _, op := range operations(w.Run("acme", export.StateRunning).ID) {
		a := c.call(op)
		require.Equal(t, 403, a.Status, op.name)
		require.Equal(t, "TENANT_REQUIRED", a.problem(t).Code)
	}
}

func TestTenantHeader(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	for _, name := range []string{"X-Stella-Tenant", "X-StellaOps-Tenant"} {
		for value, status := range map[string]int{"acme": 200, "other": 403, "../acme": 400, "ACME": 400, "a b": 400, "": 400} {
			a := c.send("GET", "/api/export/runs", "", name, value)
			require.Equal(t, status, a.Status, "%s: %q: %s", name, value, a.Body)
		}
	}
}

func TestAuthorizationHeaderForms(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	token := c.token
	c.token = ""
	for value, status := range map[string]int{
		"Bearer " + token: 200, "bearer " + token: 200, "DPoP " + token: 401, token: 401,
		"Bearer": 401, "Bearer ": 401, "Basic YTpi": 401, "Bearer  " + token: 401, "Bearer " + token + " x": 401,
	} {
		require.Equal(t, status, c.send("GET", "/api/export/runs", "", "Authorization", value).Status, strings.ReplaceAll(value, token, "<token>"))
	}
	require.Equal(t, 401, c.send("GET", "/api/export/runs?access_token="+token, "").Status)
	require.NotContains(t, w.Log.String(), token, "tokens do not belong into logs")
}

func TestUnknownPathsUnderAPINeedAToken(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	require.Equal(t, 404, c.send("GET", "/api/nothing", "").Status)
	c.token = ""
	require.Equal(t, 401, c.send("GET", "/api/nothing", "").Status)
	require.Equal(t, 404, c.send("GET", "/nothing", "").Status)
}
