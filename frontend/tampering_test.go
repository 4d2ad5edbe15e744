package frontend_test

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// endpoint is an operation of the OpenAPI document that wants a token.
type endpoint struct{ name, method, path string }

var pathParameter = regexp.MustCompile(`\{[^}]+\}`)

// endpoints reads all of them from the document, so that none is forgotten.
func endpoints(t *testing.T) []endpoint {
	doc, err := openapi3.NewLoader().LoadFromData(frontend.Spec)
	require.NoError(t, err)
	var found []endpoint
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Security == nil || len(*op.Security) > 0 {
				filled := pathParameter.ReplaceAllString(path, "0192f3c4-5d6e-7f80-9a1b-2c3d4e5f6071")
				found = append(found, endpoint{op.OperationID, method, filled})
			}
		}
	}
	slices.SortFunc(found, func(a, b endpoint) int { return strings.Compare(a.name, b.name) })
	require.Greater(t, len(found), 10)
	return found
}

// attempt is a request with credentials that must be refused.
type attempt struct {
	scheme, token string
	proofs        []string
	reason        string // words of the refusal
	challenge     string // the error code in WWW-Authenticate
}

func (a attempt) send(t *testing.T, w *frontendtest.World, client *http.Client, to endpoint) {
	req, err := http.NewRequest(to.method, w.URL+to.path, strings.NewReader("{}"))
	require.NoError(t, err)
	if a.scheme != "" {
		req.Header.Set("Authorization", a.scheme+" "+a.token)
	}
	req.Header["Dpop"] = a.proofs
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	got := answer{resp.StatusCode, resp.Header, string(raw)}
	require.Equal(t, http.StatusUnauthorized, got.Status, got.Body)
	require.Equal(t, string(export.CodeAuth), got.problem(t).Code)
	require.Contains(t, got.problem(t).Message, a.reason)
	challenges := strings.Join(got.Header.Values("WWW-Authenticate"), "\n")
	require.Contains(t, challenges, `DPoP realm="exportcenter", error="`+a.challenge+`", algs="ES256 EdDSA"`)
	for _, secret := range append(a.proofs, a.token) {
		if len(secret) > 30 {
			require.NotContains(t, got.Body+challenges, secret)
		}
	}
}

// TestTamperedCredentialsAreRefused sends every spoilt token with a proof that fits
// it, and every spoilt proof with a good token, to every operation, to some under
// both schemes: none is accepted, and each is refused for what is wrong with it.
func TestTamperedCredentialsAreRefused(t *testing.T) {
	w := frontendtest.New(t)
	// The contract is checked where both schemes are tried: refusals are all alike.
	contract := w.Client(t)
	f := newForge(t, w)
	tokens, proofs := f.tokens(), f.proofs()
	require.GreaterOrEqual(t, len(tokens), 30, "mutations of the JWT")
	f.requireThreeOfEach(proofs)
	sent := 0
	for _, to := range endpoints(t) {
		schemes := []string{"DPoP"}
		if to == me || to.name == "CreateRun" { // the scheme is read before the operation is known
			schemes = append(schemes, "Bearer")
		}
		client := http.DefaultClient
		if len(schemes) > 1 {
			client = contract
		}
		for _, scheme := range schemes {
			for name, spoilt := range tokens {
				t.Run(to.name+"/"+scheme+"/token/"+name, func(t *testing.T) {
					attempt{scheme, spoilt.token, []string{f.proof(w, to, spoilt.token)}, spoilt.reason, "invalid_token"}.send(t, w, client, to)
				})
				sent++
			}
			for _, spoilt := range proofs {
				t.Run(to.name+"/"+scheme+"/proof/"+spoilt.name, func(t *testing.T) {
					w.Proofs.Set(nil, spoilt.wanted)
					defer w.Proofs.Set(nil, "")
					challenge := "invalid_dpop_proof"
					if spoilt.wanted != "" {
						challenge = "use_dpop_nonce"
					}
					attempt{scheme, f.token, spoilt.make(w.URL, to), string(spoilt.reason), challenge}.send(t, w, client, to)
				})
				sent++
			}
		}
	}
	t.Logf("%d attempts: %d tokens and %d proofs at %d operations", sent, len(tokens), len(proofs), len(endpoints(t)))
	require.GreaterOrEqual(t, sent, 2000)
	require.Empty(t, w.Starter.Started)
	require.Empty(t, w.Starter.Stopped)
	for _, secret := range []string{f.token, "eyJ"} {
		require.NotContains(t, w.Log.String(), secret, "tokens and proofs do not belong into logs")
	}
}

// The counterpart: the forge's own good token and proof open every operation.
func TestGoodCredentialsPass(t *testing.T) {
	w := frontendtest.New(t)
	f, client := newForge(t, w), w.Client(t)
	for _, to := range endpoints(t) {
		for _, scheme := range []string{"DPoP", "dpop", "Bearer"} {
			req, err := http.NewRequest(to.method, w.URL+to.path+"?x=y", strings.NewReader("{}"))
			require.NoError(t, err)
			req.Header.Set("Authorization", scheme+" "+f.token)
			req.Header.Set("DPoP", f.proof(w, to, f.token))
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.NotEqual(t, 401, resp.StatusCode, "%s with %s", to.name, scheme)
		}
	}
}
