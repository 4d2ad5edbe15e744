package dpop_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/signing/dpop"
)

var now = time.Date(2026, 11, 21, 8, 0, 0, 500, time.UTC)

// The examples of RFC 9449, sections 4.1, 4.2, 6.1 and 7.1.
func TestTheExamplesOfTheRFC(t *testing.T) {
	const proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19" +
		".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ" +
		".2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	got, err := dpop.Check([]string{proof}, dpop.Request{Method: "POST", Targets: []string{"https://server.example.com/token"}, Now: time.Unix(1562262616, 0)})
	require.NoError(t, err)
	require.Equal(t, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", got.Thumbprint)
	require.True(t, dpop.ValidThumbprint(got.Thumbprint))
	require.Equal(t, "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo", dpop.TokenHash("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"))
}

func TestAKeyMakesProofsThatPass(t *testing.T) {
	key, err := dpop.NewKey()
	require.NoError(t, err)
	text, err := key.PEM()
	require.NoError(t, err)
	again, err := dpop.ParseKey(text)
	require.NoError(t, err)
	require.Equal(t, key.Thumbprint(), again.Thumbprint())
	require.True(t, dpop.ValidThumbprint(key.Thumbprint()))

	want := dpop.Request{Method: "GET", Targets: []string{"http://other/", "https://api.test/base/x%2Fy"},
		Token: "token", Thumbprint: key.Thumbprint(), Now: now}
	seen := map[[32]byte]bool{}
	for range 3 {
		proof, err := again.Proof(dpop.Claims{Method: "GET", Address: "HTTPS://API.test:443/base/x%2fy?q=1#f", Token: "token", Nonce: "n", Now: now})
		require.NoError(t, err)
		got, err := dpop.Check([]string{proof}, want)
		require.NoError(t, err)
		require.Equal(t, "n", got.Nonce)
		require.Equal(t, now.Unix(), got.Issued.Unix())
		require.False(t, seen[got.ID], "each proof is its own")
		seen[got.ID] = true
		same, err := dpop.Check([]string{proof}, want)
		require.NoError(t, err)
		require.Equal(t, got.ID, same.ID, "and the same when it comes again")
	}
}

// The same jti under two keys is two proofs: nobody can use up another's.
func TestAnIDBelongsToItsKey(t *testing.T) {
	claims := `{"jti":"same","htm":"GET","htu":"https://api.test/","iat":` + "1795248000" + `}`
	want := dpop.Request{Method: "GET", Targets: []string{"https://api.test/"}, Now: time.Unix(1795248000, 0)}
	one, err := dpop.Check([]string{ed(t, claims)}, want)
	require.NoError(t, err)
	other, err := dpop.Check([]string{ed(t, claims)}, want)
	require.NoError(t, err)
	require.NotEqual(t, one.ID, other.ID)
}

// ed makes a proof with a new Ed25519 key.
func ed(t *testing.T, claims string) string {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"`+encode(public)+`","use":"sig","kid":"k","ext":true,"key_ops":["verify"],"alg":"EdDSA"}}`)) +
		"." + encode([]byte(claims))
	return signed + "." + encode(ed25519.Sign(private, []byte(signed)))
}

func TestTheWindowIsAMinuteEitherWay(t *testing.T) {
	key, err := dpop.NewKey()
	require.NoError(t, err)
	for off, good := range map[time.Duration]bool{0: true, -60 * time.Second: true, 60 * time.Second: true, -61 * time.Second: false, 61 * time.Second: false} {
		proof, err := key.Proof(dpop.Claims{Method: "GET", Address: "https://api.test/", Now: now.Truncate(time.Second).Add(off)})
		require.NoError(t, err)
		_, err = dpop.Check([]string{proof}, dpop.Request{Method: "GET", Targets: []string{"https://api.test/"}, Now: now.Truncate(time.Second)})
		require.Equal(t, good, err == nil, "%s: %v", off, err)
	}
}

func TestEveryBitOfAProofCounts(t *testing.T) {
	key, err := dpop.NewKey()
	require.NoError(t, err)
	want := dpop.Request{Method: "GET", Targets: []string{"https://api.test/"}, Now: now, Token: "token", Thumbprint: key.Thumbprint()}
	proof, err := key.Proof(dpop.Claims{Method: "GET", Address: "https://api.test/", Token: "token", Now: now})
	require.NoError(t, err)
	for _, keys := range []*dpop.Keys{nil, {}} { // not even by who has seen the header before
		want.Keys = keys
		_, err = dpop.Check([]string{proof}, want)
		require.NoError(t, err)
		for at := range len(proof) {
			for bit := range 8 {
				spoilt := []byte(proof)
				spoilt[at] ^= 1 << bit
				if _, err := dpop.Check([]string{string(spoilt)}, want); err == nil {
					t.Fatalf("byte %d bit %d is not looked at", at, bit)
				}
			}
		}
	}
}

// A header that is remembered is of its key and no other, and only headers of proofs
// that passed are.
func TestRememberedHeaders(t *testing.T) {
	keys := &dpop.Keys{}
	for range 1100 { // more than are remembered
		key, err := dpop.NewKey()
		require.NoError(t, err)
		proof, err := key.Proof(dpop.Claims{Method: "GET", Address: "https://api.test/", Now: now})
		require.NoError(t, err)
		want := dpop.Request{Method: "GET", Targets: []string{"https://api.test/"}, Now: now, Keys: keys}
		other, err := dpop.NewKey()
		require.NoError(t, err)
		forged, err := other.Proof(dpop.Claims{Method: "GET", Address: "https://api.test/", Now: now})
		require.NoError(t, err)
		head, _, _ := strings.Cut(proof, ".")
		_, rest, _ := strings.Cut(forged, ".")
		for range 2 {
			_, err = dpop.Check([]string{head + "." + rest}, want)
			require.ErrorContains(t, err, "its signature is not that of its jwk")
			got, err := dpop.Check([]string{proof}, want)
			require.NoError(t, err)
			require.Equal(t, key.Thumbprint(), got.Thumbprint)
		}
	}
}

func TestTargets(t *testing.T) {
	same := map[string][]string{
		"https://api.test/a":       {"HTTPS://API.TEST/a", "https://api.test:443/a", "https://api.test/a?b=c", "https://api.test/a#x", "https://api.test/%61"},
		"http://127.0.0.1:8480/":   {"http://127.0.0.1:8480", "http://127.0.0.1:8480?x"},
		"http://[::1]/a%2Fb":       {"http://[::1]:80/a%2fb"},
		"https://api.test/a%20b/~": {"https://api.test/a%20b/%7e"},
		"https://api.test/a/":      {"https://api.test/a/?"},
	}
	for want, spellings := range same {
		for _, spelling := range append(spellings, want) {
			got, err := dpop.Target(spelling)
			require.NoError(t, err, spelling)
			require.Equal(t, want, got, spelling)
		}
	}
	for _, bad := range []string{"", "/a", "api.test/a", "ftp://api.test/", "https://", "https:///a", "https://user@api.test/", "https://api.test/a/../b",
		"https://api.test/./a", "https://api.test/%2e%2e/a", "https://api.test/%zz", "https://api.test/a b", "https://api.test/\x00", "https://äpi.test/",
		"https:api.test", "https://api.test\\@evil.test/", "https://api.test/" + strings.Repeat("a", 5000), "https://api.test:x/"} {
		got, err := dpop.Target(bad)
		require.Error(t, err, "%q became %q", bad, got)
	}
}

func TestOnLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:8480": true, "http://localhost/x": true, "https://LOCALHOST": true, "http://[::1]:1": true, "http://127.9.9.9": true,
		"http://127.0.0.1.evil.test": false, "http://evil.test": false, "http://localhost@evil.test": false, "localhost": false, "": false,
		"http://0.0.0.0": false, "http://127.1": false,
	} {
		require.Equal(t, want, dpop.OnLoopback(address), address)
	}
}

func TestParseKeyTakesOneP256Key(t *testing.T) {
	key, err := dpop.NewKey()
	require.NoError(t, err)
	text, err := key.PEM()
	require.NoError(t, err)
	for name, bad := range map[string][]byte{
		"nothing": nil, "text": []byte("x"), "half": text[:len(text)/2], "two": append(append([]byte{}, text...), text...),
		"other type": []byte(strings.ReplaceAll(string(text), "PRIVATE KEY", "EC PRIVATE KEY")),
	} {
		_, err := dpop.ParseKey(bad)
		require.Error(t, err, name)
	}
}

func FuzzCheck(f *testing.F) {
	key, err := dpop.NewKey()
	require.NoError(f, err)
	proof, err := key.Proof(dpop.Claims{Method: "GET", Address: "https://api.test/", Token: "token", Now: now})
	require.NoError(f, err)
	f.Add(proof)
	f.Add("e30.e30.e30")
	encode := base64.RawURLEncoding.EncodeToString
	f.Add(encode([]byte(`{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"AA"}}`)) + "." + encode([]byte(`{"jti":"a","iat":null}`)) + ".AA")
	f.Fuzz(func(t *testing.T, proof string) {
		got, err := dpop.Check([]string{proof}, dpop.Request{Method: "GET", Targets: []string{"https://api.test/"}, Now: now, Token: "token"})
		if err != nil {
			var refusal *dpop.Refusal
			require.ErrorAs(t, err, &refusal)
			require.NotEmpty(t, refusal.Reason)
			return
		}
		require.True(t, dpop.ValidThumbprint(got.Thumbprint))
		parts := strings.Split(proof, ".")
		raw, err := base64.RawURLEncoding.DecodeString(parts[1])
		require.NoError(t, err)
		var claims map[string]any
		require.NoError(t, json.Unmarshal(raw, &claims))
		require.Equal(t, "GET", claims["htm"])
		require.Equal(t, dpop.TokenHash("token"), claims["ath"])
	})
}

// What Target gives is its own spelling.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{"https://api.test/a?b#c", "http://[::1]:80/%7e%2F", "https://api.test/a%2", "https://u@h/", "http://h:99999/../a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		target, err := dpop.Target(address)
		if err != nil {
			return
		}
		again, err := dpop.Target(target)
		require.NoError(t, err, "%q became %q", address, target)
		require.Equal(t, target, again)
	})
}

func FuzzParseKey(f *testing.F) {
	key, err := dpop.NewKey()
	require.NoError(f, err)
	text, err := key.PEM()
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		key, err := dpop.ParseKey(raw)
		if err == nil {
			require.True(t, dpop.ValidThumbprint(key.Thumbprint()))
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	key, err := dpop.NewKey()
	require.NoError(b, err)
	want := dpop.Request{Method: "GET", Targets: []string{"https://api.test/"}, Token: "token", Thumbprint: key.Thumbprint(), Now: now}
	proof, err := key.Proof(dpop.Claims{Method: "GET", Address: "https://api.test/", Token: "token", Now: now})
	require.NoError(b, err)
	headers := []string{proof}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dpop.Check(headers, want); err != nil {
			b.Fatal(err)
		}
	}
}
