package frontend_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

// What a tenant calls beyond its rate costs no write: no proof of it is kept, and it
// can be sent again.
func TestACallBeyondTheRateCostsNoWrite(t *testing.T) {
	w := frontendtest.New(t, func(c *frontend.Config) { c.Rates = frontend.Rates{PerSecond: 2, Burst: 3} })
	f := newForge(t, w)
	for range 3 {
		require.Equal(t, 200, f.bound(me, w.URL, "DPoP", f.proof(w, me, f.token)).Status)
	}
	require.Equal(t, 3, w.Proofs.Kept())
	late := f.proof(w, me, f.token)
	for range 5 {
		require.Equal(t, 429, f.bound(me, w.URL, "DPoP", late).Status)
	}
	require.Equal(t, 3, w.Proofs.Kept())
}

// Only calls of the tenant's own are counted: not those of a forged token that names
// it, nor of a token without its key.
func TestAForgedTokenTakesNothingFromATenant(t *testing.T) {
	w := frontendtest.New(t, func(c *frontend.Config) { c.Rates = frontend.Rates{PerSecond: 1, Burst: 1} })
	f, strange := newForge(t, w), newForge(t, w)
	for reason, bad := range f.tokens() {
		forged := *f
		forged.token = bad.token
		require.Equal(t, 401, forged.bound(me, w.URL, "DPoP", f.proof(w, me, bad.token)).Status, reason)
	}
	for range 3 {
		require.Equal(t, 401, f.bound(me, w.URL, "DPoP", strange.proof(w, me, f.token)).Status)
		require.Equal(t, 401, f.bound(me, w.URL, "DPoP", "").Status)
	}
	proof, err := f.key.Proof(dpop.Claims{Method: "POST", Address: w.URL + me.path, Token: f.token, Now: w.Now()})
	require.NoError(t, err)
	require.Equal(t, 401, f.bound(me, w.URL, "DPoP", proof).Status)
	require.Equal(t, 200, f.bound(me, w.URL, "DPoP", f.proof(w, me, f.token)).Status)
	require.Equal(t, 429, f.bound(me, w.URL, "DPoP", f.proof(w, me, f.token)).Status)
}

// Opening a stream of events is a call like others.
func TestEventStreamsAreCountedAsCalls(t *testing.T) {
	w := frontendtest.New(t, func(c *frontend.Config) { c.Rates = frontend.Rates{PerSecond: 1, Burst: 2, AtOnce: 1} })
	c := newCaller(t, w, "acme")
	for range 2 {
		require.Equal(t, 404, c.send("GET", runsPath+"/0192f3c4-5d6e-7f80-9a1b-0000000000ff/events", "").Status)
	}
	refused := c.send("GET", runsPath+"/0192f3c4-5d6e-7f80-9a1b-0000000000ff/events", "")
	require.Equal(t, 429, refused.Status)
	require.Equal(t, "1", refused.Header.Get("X-Stella-Quota-Limit"))
	require.NotEmpty(t, refused.Header.Get("Retry-After"))
}
