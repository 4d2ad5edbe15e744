package frontendtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

// Issuer and audience of the tokens a World believes.
const (
	IssuerName = "https://issuer.test"
	Audience   = "exportcenter"
	KeyID      = "key-1"
)

// AllScopes are the scopes that a tenant's token can hold.
var AllScopes = slices.DeleteFunc(slices.Clone(export.Scopes), func(s string) bool { return s == export.ScopeTenantManage })

// Issuer signs tokens.
type Issuer struct {
	Key *ecdsa.PrivateKey
	// JWKS is the path of the published key set.
	JWKS string
	now  func() time.Time
}

// NewIssuer makes an issuer and publishes its key in a file.
func NewIssuer(t testing.TB, now func() time.Time) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	i := &Issuer{Key: key, JWKS: filepath.Join(t.TempDir(), "jwks.json"), now: now}
	i.Publish(t, map[string]any{KeyID: key.Public()})
	return i
}

// Publish writes keys, by key id, as the issuer's set.
func (i *Issuer) Publish(t testing.TB, keys map[string]any) {
	t.Helper()
	set := jwk.NewSet()
	for id, raw := range keys {
		key, err := jwk.Import(raw)
		require.NoError(t, err)
		require.NoError(t, key.Set(jwk.KeyIDKey, id))
		require.NoError(t, set.AddKey(key))
	}
	encoded, err := json.Marshal(set)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(i.JWKS, encoded, 0o600))
}

// Claims gives the claims of a good token, to be spoilt by tests.
func (i *Issuer) Claims(tenant string, scopes ...string) map[string]any {
	now := i.now().Unix()
	return map[string]any{
		"iss": IssuerName, "aud": Audience, "sub": "tester@" + tenant,
		"iat": now, "nbf": now, "exp": now + 3600,
		"tenant": tenant, "scope": strings.Join(scopes, " "),
	}
}

// Token signs a good token.
func (i *Issuer) Token(t testing.TB, tenant string, scopes ...string) string {
	t.Helper()
	return Sign(t, jwa.ES256(), i.Key, map[string]any{"kid": KeyID, "typ": "JWT"}, i.Claims(tenant, scopes...))
}

// Bound signs a good token that is bound to key.
func (i *Issuer) Bound(t testing.TB, key *dpop.Key, tenant string, scopes ...string) string {
	t.Helper()
	claims := i.Claims(tenant, scopes...)
	claims["cnf"] = map[string]any{"jkt": key.Thumbprint()}
	return Sign(t, jwa.ES256(), i.Key, map[string]any{"kid": KeyID, "typ": "at+jwt"}, claims)
}

// Sign signs any claims with any key and header.
func Sign(t testing.TB, alg jwa.SignatureAlgorithm, key any, header, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	return SignRaw(t, alg, key, header, payload)
}

// SignRaw signs any payload with any key and header.
func SignRaw(t testing.TB, alg jwa.SignatureAlgorithm, key any, header map[string]any, payload []byte) string {
	t.Helper()
	protected := jws.NewHeaders()
	for name, value := range header {
		require.NoError(t, protected.Set(name, value))
	}
	signed, err := jws.Sign(payload, jws.WithKey(alg, key, jws.WithProtectedHeaders(protected)))
	require.NoError(t, err)
	return string(signed)
}
