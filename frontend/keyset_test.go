package frontend_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

func TestAllAllowedAlgorithms(t *testing.T) {
	w := frontendtest.New(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	w.Issuer.Publish(t, map[string]any{"ec": w.Issuer.Key.Public(), "rsa": rsaKey.Public(), "ed": edKey.Public(),
		"p384": p384.Public(), "shared": []byte("0123456789abcdef0123456789abcdef")})
	// Keys of kinds nobody knows do not spoil the set, nor do weak ones.
	published, err := os.ReadFile(w.Issuer.JWKS)
	require.NoError(t, err)
	n := base64.RawURLEncoding.EncodeToString(weak.N.Bytes())
	published = []byte(strings.Replace(string(published), `"keys":[`,
		`"keys":[{"kty":"PQ","kid":"new"},7,{"kty":"RSA","kid":"weak","e":"AQAB","n":"`+n+`"},`, 1))
	require.NoError(t, os.WriteFile(w.Issuer.JWKS, published, 0o600))
	c := newCaller(t, w, "acme")
	for _, test := range []struct {
		kid    string
		alg    jwa.SignatureAlgorithm
		key    any
		status int
	}{
		{"ec", jwa.ES256(), w.Issuer.Key, 200}, {"rsa", jwa.RS256(), rsaKey, 200}, {"rsa", jwa.PS256(), rsaKey, 200},
		{"ed", jwa.EdDSA(), edKey, 200}, {"", jwa.EdDSA(), edKey, 200},
		{"weak", jwa.RS256(), weak, 401}, {"p384", jwa.ES384(), p384, 401}, {"rsa", jwa.RS512(), rsaKey, 401},
		{"shared", jwa.HS256(), []byte("0123456789abcdef0123456789abcdef"), 401}, {"rsa", jwa.ES256(), w.Issuer.Key, 401},
	} {
		c.token = frontendtest.Sign(t, test.alg, test.key, map[string]any{"kid": test.kid}, w.Issuer.Claims("acme", "export:read"))
		a := c.send("GET", runsPath, "")
		require.Equal(t, test.status, a.Status, "%s %s: %s", test.kid, test.alg, a.Body)
	}
}

func TestKeyRotation(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	old := c.token
	require.Equal(t, 200, c.send("GET", runsPath, "").Status)
	next, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	w.Issuer.Publish(t, map[string]any{"key-2": next.Public()})
	c.token = frontendtest.Sign(t, jwa.ES256(), next, map[string]any{"kid": "key-2"}, w.Issuer.Claims("acme", "export:read"))
	require.Equal(t, 401, c.send("GET", runsPath, "").Status, "the set was read a moment ago")
	w.SetTime(w.Now().Add(11 * time.Second))
	require.Equal(t, 200, c.send("GET", runsPath, "").Status, "an unknown key id makes us look again")
	c.token = old
	require.Equal(t, 401, c.send("GET", runsPath, "").Status, "the withdrawn key is not believed any more")
}

func TestKeySetThatCannotBeRead(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	require.Equal(t, 200, c.send("GET", runsPath, "").Status)
	require.NoError(t, os.Remove(w.Issuer.JWKS))
	w.SetTime(w.Now().Add(30 * time.Minute))
	c.token = w.Token(t, "acme")
	require.Equal(t, 200, c.send("GET", runsPath, "").Status, "the last set serves for an hour")
	w.SetTime(w.Now().Add(31 * time.Minute))
	c.token = w.Token(t, "acme")
	a := c.send("GET", runsPath, "")
	require.Equal(t, 503, a.Status)
	require.NotContains(t, a.Body, w.Issuer.JWKS)
	require.Equal(t, 503, c.send("GET", "/health/ready", "").Status)
	w.Issuer.Publish(t, map[string]any{frontendtest.KeyID: w.Issuer.Key.Public()})
	w.SetTime(w.Now().Add(2 * time.Second))
	require.Equal(t, 200, c.send("GET", runsPath, "").Status)
}

func TestKeySetByURL(t *testing.T) {
	w := frontendtest.New(t)
	var asked atomic.Int64
	issuer := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.ServeFile(rw, r, w.Issuer.JWKS)
	}))
	t.Cleanup(issuer.Close)
	keys, err := frontend.NewKeySet(issuer.URL, w.Now)
	require.NoError(t, err)
	verifier, err := frontend.NewJWTVerifier(frontend.JWTConfig{Issuer: frontendtest.IssuerName, Audience: frontendtest.Audience, Keys: keys, Clock: w.Now})
	require.NoError(t, err)
	for range 20 {
		who, err := verifier.Verify(t.Context(), w.Token(t, "acme"))
		require.NoError(t, err)
		require.Equal(t, "acme", who.Tenant)
	}
	require.Equal(t, int64(1), asked.Load())
	// Strangers' key ids cannot make us ask the issuer for each of them.
	for range 20 {
		_, err := verifier.Verify(t.Context(), frontendtest.Sign(t, jwa.ES256(), w.Issuer.Key, map[string]any{"kid": "x"}, w.Issuer.Claims("acme")))
		require.Error(t, err)
	}
	require.Equal(t, int64(1), asked.Load())
}

func TestKeySetAddresses(t *testing.T) {
	for address, fine := range map[string]bool{
		"http://127.0.0.1:1/jwks": true, "http://localhost/jwks": true, "http://[::1]:9/jwks": true, "https://issuer.example/jwks": true,
		"http://issuer.example/jwks": false, "http://10.0.0.1/jwks": false, "http://127.0.0.1.evil.example/": false, "http://[": false,
	} {
		_, err := frontend.NewKeySet(address, time.Now)
		require.Equal(t, fine, err == nil, "%s: %v", address, err)
	}
}

func TestKeySetsThatAreNone(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "not JSON": "keys", "no keys": `{"keys":[]}`, "secret only": `{"keys":[{"kty":"oct","k":"AAAA"}]}`,
		"huge": string(make([]byte, 2<<20)),
	} {
		path := filepath.Join(t.TempDir(), "jwks.json")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		keys, err := frontend.NewKeySet(path, time.Now)
		require.NoError(t, err)
		require.Error(t, keys.Check(context.Background()), name)
	}
}
