package frontendtest

import (
	"crypto/ecdsa"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/devissuer"
	"github.com/stella-ops/exportcenter/internal/devtoken"
)

// WithLogin makes a World give tokens to registered clients at /oauth/token. It has
// the time of the machine, because clients have. register adds a client and gives
// its secret.
func WithLogin(t testing.TB, change ...func(*frontend.Config)) (w *World, register func(devissuer.Client) string) {
	t.Helper()
	dir := t.TempDir()
	var handler http.Handler // made of the World it is part of
	w = New(t, append(change, func(c *frontend.Config) {
		c.Development = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) })
	})...)
	w.SetTime(clock.System())
	key := filepath.Join(dir, "issuer.jwk")
	writeKey(t, key, w.Issuer.Key)
	tokens, err := devtoken.Open(IssuerName, key)
	require.NoError(t, err)
	clients := filepath.Join(dir, "clients.json")
	handler = devissuer.New(devissuer.Config{Tokens: tokens, Clients: clients, JWKS: w.Issuer.JWKS,
		Proofs: w.Proofs, Clock: w.Now, Log: slog.New(slog.NewJSONHandler(w.Log, nil))})
	return w, func(c devissuer.Client) string {
		secret, err := devissuer.Add(clients, c)
		require.NoError(t, err)
		return secret
	}
}

func writeKey(t testing.TB, path string, private *ecdsa.PrivateKey) {
	key, err := jwk.Import(private)
	require.NoError(t, err)
	require.NoError(t, key.Set(jwk.KeyIDKey, KeyID))
	raw, err := json.Marshal(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, raw, 0o600))
}
