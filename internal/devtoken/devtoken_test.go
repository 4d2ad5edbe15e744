package devtoken

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/stretchr/testify/require"
)

func files(t *testing.T) (private, public string) {
	dir := t.TempDir()
	private, public = filepath.Join(dir, "issuer.jwk"), filepath.Join(dir, "jwks.json")
	require.NoError(t, Create(private, public))
	return private, public
}

func TestATokenIsBelievedByItsKeySet(t *testing.T) {
	private, public := files(t)
	issuer, err := Open(IssuerName("i1"), private)
	require.NoError(t, err)
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	signed, err := issuer.Issue(Claims{Subject: "dev", Tenant: "demo", Scopes: []string{"export:run", "export:read"}, Lifetime: time.Hour}, now)
	require.NoError(t, err)

	raw, err := os.ReadFile(public)
	require.NoError(t, err)
	set, err := jwk.Parse(raw)
	require.NoError(t, err)
	parse := func(at time.Time) (jwt.Token, error) {
		return jwt.Parse([]byte(signed), jwt.WithKeySet(set), jwt.WithIssuer("exportcenter-dev:i1"),
			jwt.WithAudience(Audience), jwt.WithClock(jwt.ClockFunc(func() time.Time { return at })))
	}
	token, err := parse(now.Add(time.Minute))
	require.NoError(t, err)
	var tenant, scope string
	require.NoError(t, token.Get("tenant", &tenant))
	require.NoError(t, token.Get("scope", &scope))
	require.Equal(t, "demo", tenant)
	require.Equal(t, "export:run export:read", scope)

	_, err = parse(now.Add(2 * time.Hour))
	require.Error(t, err, "expired")
	_, err = parse(now.Add(-time.Minute))
	require.Error(t, err, "not yet valid")

	_, other := files(t)
	raw, err = os.ReadFile(other)
	require.NoError(t, err)
	set, err = jwk.Parse(raw)
	require.NoError(t, err)
	_, err = parse(now)
	require.Error(t, err, "signed by another installation's key")
}

func TestTheKeyIsMadeOnceAndStaysPrivate(t *testing.T) {
	private, public := files(t)
	before, err := os.ReadFile(private)
	require.NoError(t, err)
	require.NoError(t, os.Remove(public))
	require.NoError(t, Create(private, public))
	after, err := os.ReadFile(private)
	require.NoError(t, err)
	require.Equal(t, before, after)

	info, err := os.Stat(private)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	raw, err := os.ReadFile(public)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &set))
	require.Len(t, set.Keys, 1)
	require.NotContains(t, set.Keys[0], "d", "the private half")
	require.Equal(t, "ES256", set.Keys[0]["alg"])
	require.NotEmpty(t, set.Keys[0]["kid"])
}

func TestBadIssuerFiles(t *testing.T) {
	private, public := files(t)
	_, err := Open("i", filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	set, err := os.ReadFile(public)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(private, set, 0o600))
	_, err = Open("i", private)
	require.ErrorContains(t, err, private)
	require.NoError(t, os.WriteFile(private, []byte("{"), 0o600))
	require.ErrorContains(t, Create(private, public), private)
	_, err = (&Issuer{}).Issue(Claims{}, time.Time{})
	require.ErrorContains(t, err, "tenant")
}
