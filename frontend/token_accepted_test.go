package frontend_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// gatekeeper is a verifier with the issuer whose tokens it believes.
type gatekeeper struct {
	*frontendtest.Issuer
	*frontend.JWTVerifier
	now time.Time
}

func newGatekeeper(t testing.TB) *gatekeeper {
	t.Helper()
	g := &gatekeeper{now: frontendtest.Start}
	clock := func() time.Time { return g.now }
	g.Issuer = frontendtest.NewIssuer(t, clock)
	keys, err := frontend.NewKeySet(g.JWKS, clock)
	require.NoError(t, err)
	g.JWTVerifier, err = frontend.NewJWTVerifier(frontend.JWTConfig{
		Issuer: frontendtest.IssuerName, Audience: frontendtest.Audience, Keys: keys, Clock: clock})
	require.NoError(t, err)
	return g
}

func (g *gatekeeper) requireTenant(t testing.TB, want, token string) {
	t.Helper()
	who, err := g.Verify(t.Context(), token)
	require.NoError(t, err)
	require.False(t, who.Expires.IsZero())
	who.Expires = time.Time{}
	require.Equal(t, frontend.Principal{Subject: "tester@" + want, Tenant: want, Scopes: []string{"export:read"}}, who)
}

func (g *gatekeeper) requireRefused(t testing.TB, token, why string) {
	t.Helper()
	_, err := g.Verify(t.Context(), token)
	require.Equal(t, export.CodeAuth, export.CodeOf(err), why)
}

func TestARememberedTokenSpeaksForTheSame(t *testing.T) {
	g := newGatekeeper(t)
	acme, other := g.Token(t, "acme", "export:read"), g.Token(t, "other", "export:read")
	for range 3 {
		g.requireTenant(t, "acme", acme)
		g.requireTenant(t, "other", other)
		g.requireRefused(t, acme[:len(acme)-1], "a part of a remembered token")
		g.requireRefused(t, acme+"A", "more than a remembered token")
	}
	require.Equal(t, 2, frontend.AcceptedTokens(g.JWTVerifier), "what was refused is not remembered")
}

// The times of a token count in memory as they do without.
func TestARememberedTokenExpires(t *testing.T) {
	g := newGatekeeper(t)
	token := g.Token(t, "acme", "export:read") // for an hour
	g.requireTenant(t, "acme", token)
	for _, step := range []struct {
		after time.Duration
		good  bool
	}{
		{59 * time.Minute, true}, {time.Hour, true}, {time.Hour + 59*time.Second, true}, // the grace for clocks
		{time.Hour + 61*time.Second, false}, {-2 * time.Minute, false}, {0, true}, {24 * time.Hour, false},
	} {
		g.now = frontendtest.Start.Add(step.after)
		if step.good {
			g.requireTenant(t, "acme", token)
		} else {
			g.requireRefused(t, token, step.after.String())
		}
	}
}

// A key that was taken back takes remembered tokens with it, at the moment at which
// the set is read again.
func TestARememberedTokenEndsWithItsKey(t *testing.T) {
	g := newGatekeeper(t)
	token := g.Token(t, "acme", "export:read")
	g.requireTenant(t, "acme", token)
	next, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for _, keys := range []map[string]any{
		{"key-2": next.Public()},
		{frontendtest.KeyID: next.Public()}, // another key under the same name
	} {
		g.Publish(t, map[string]any{frontendtest.KeyID: g.Key.Public()})
		g.now = g.now.Add(5 * time.Minute)
		g.requireTenant(t, "acme", token)
		g.requireTenant(t, "acme", token)
		g.Publish(t, keys)
		g.now = g.now.Add(4 * time.Minute)
		g.requireTenant(t, "acme", token) // the set is still fresh
		g.now = g.now.Add(time.Minute)
		g.requireRefused(t, token, "its key is not in the set any more")
	}
}

// A set that could not be read for an hour is not believed, remembered tokens
// included.
func TestARememberedTokenNeedsASetToBelieve(t *testing.T) {
	g := newGatekeeper(t)
	claims := g.Claims("acme", "export:read")
	claims["exp"] = g.now.Add(24 * time.Hour).Unix()
	token := frontendtest.Sign(t, jwa.ES256(), g.Key, map[string]any{"kid": frontendtest.KeyID}, claims)
	g.requireTenant(t, "acme", token)
	require.NoError(t, os.Remove(g.JWKS))
	g.now = g.now.Add(59 * time.Minute)
	g.requireTenant(t, "acme", token)
	g.now = g.now.Add(2 * time.Minute)
	_, err := g.Verify(t.Context(), token)
	require.Equal(t, export.CodeUnavailable, export.CodeOf(err))
}

func BenchmarkVerify(b *testing.B) {
	g := newGatekeeper(b)
	token := g.Token(b, "acme", "export:read")
	for b.Loop() {
		if _, err := g.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
