package frontend_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

// forge makes credentials with exactly one thing wrong.
type forge struct {
	t     *testing.T
	world *frontendtest.World
	key   *dpop.Key
	pair  *ecdsa.PrivateKey // the same key, for what the package refuses to make
	token string            // a good one, bound to key

	client *http.Client // that keeps to the contract
}

func newForge(t *testing.T, w *frontendtest.World) *forge {
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	f := &forge{t: t, world: w, pair: pair, key: keyOf(t, pair), client: w.Client(t)}
	f.token = w.Issuer.Bound(t, f.key, "acme", frontendtest.AllScopes...)
	return f
}

// proof is a good one for an operation.
func (f *forge) proof(w *frontendtest.World, to endpoint, token string) string {
	proof, err := f.key.Proof(dpop.Claims{Method: to.method, Address: w.URL + to.path, Token: token, Now: w.Now()})
	require.NoError(f.t, err)
	return proof
}

// spoiltToken is a token that must be refused, and the words for it.
type spoiltToken struct{ token, reason string }

// tokens are all of badTokens, bound to the forge's key where it fits, by what is wrong.
func (f *forge) tokens() map[string]spoiltToken {
	const (
		form  = "signed JWT"
		head  = "a member that is not allowed"
		alg   = "its algorithm is not allowed"
		key   = "unknown key"
		sig   = "its signature or form is wrong"
		when  = "it is not valid yet"
		claim = "a required claim is missing"
	)
	reasons := map[string]string{
		"garbage": form, "two dots": head, "not base64": form, "five parts": form, "padded base64": form,
		"expired": "it has expired", "not yet valid": when, "issued in the future": when,
		"no exp": claim, "no iat": claim, "no subject": claim,
		"other issuer": "somebody else", "other audience": "another audience", "other audiences": "another audience", "no audience": "another audience",
		"empty subject": "its subject", "tenant with slash": "its tenant claim", "tenant upwards": "its tenant claim", "tenant in capitals": "its tenant claim",
		"tenant look-alike": "its tenant claim", "tenant too long": "its tenant claim", "empty tenant": "its tenant claim", "tenant as list": "its tenant claim",
		"tenant as object": "its tenant claim", "project upwards": "its project claim", "scope as list": "its scope claim", "bound to a key": "its cnf claim",
		"two tenants": head, "two algs": head, "alg in other case": head, "jku": head, "x5u": head, "crit": head, "b64 false": head, "zip": head,
		"embedded jwk": head, "nested JSON header": head,
		"alg none": alg, "alg None with signature": alg, "HS256 with public key PEM": alg, "HS256 with public point": alg, "HS256 with DER": alg,
		"unknown kid": key, "kid as path": key, "kid as SQL": key, "kid as URL": key,
		"ES256 by a stranger": sig, "claims of another": sig, "no signature": sig, "signature of zeros": sig,
		"DPoP proof as token": "its type", "huge": "larger than 8 KiB",
	}
	spoilt := map[string]spoiltToken{}
	for name, token := range badTokens(f.t, f.world) {
		if token != "" {
			spoilt[name] = spoiltToken{token, reasons[name]}
		}
	}
	sign := func(name string, value any) string {
		claims := f.world.Issuer.Claims("acme", frontendtest.AllScopes...)
		claims["cnf"] = map[string]any{"jkt": f.key.Thumbprint()}
		claims[name] = value
		return frontendtest.Sign(f.t, jwa.ES256(), f.world.Issuer.Key, map[string]any{"kid": frontendtest.KeyID}, claims)
	}
	jkt := f.key.Thumbprint()
	for name, cnf := range map[string]any{
		"cnf as text": jkt, "cnf empty": map[string]any{}, "cnf for mTLS": map[string]any{"x5t#S256": jkt},
		"cnf for both": map[string]any{"jkt": jkt, "x5t#S256": jkt}, "cnf with a short jkt": map[string]any{"jkt": jkt[:42]},
		"cnf with a list": map[string]any{"jkt": []string{jkt}}, "cnf null": nil,
	} {
		spoilt[name] = spoiltToken{sign("cnf", cnf), "its cnf claim"}
	}
	for name, roles := range map[string]any{"roles as text": "Export.Admin", "roles of numbers": []int{1}} {
		spoilt[name] = spoiltToken{sign("roles", roles), "its roles claim"}
	}
	spoilt["bound to nothing"] = spoiltToken{f.world.Issuer.Token(f.t, "acme", frontendtest.AllScopes...), "bound to no key"}
	return spoilt
}

// spoiltProof makes DPoP headers that must be refused.
type spoiltProof struct {
	name   string
	reason dpop.Reason
	wanted string // the nonce that the server wants
	make   func(server string, to endpoint) []string
}

// parts are a proof's header and claims before it is signed.
type parts struct{ header, claims map[string]any }

func (f *forge) parts(server string, to endpoint) parts {
	return parts{
		map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": f.jwk(f.pair)},
		map[string]any{"jti": rand.Text(), "htm": to.method, "htu": server + to.path, "iat": f.world.Now().Unix(), "ath": dpop.TokenHash(f.token)},
	}
}

func (f *forge) jwk(key *ecdsa.PrivateKey) map[string]any {
	point, err := key.PublicKey.Bytes()
	require.NoError(f.t, err)
	return map[string]any{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}
}

// sign signs header and claims, given as anything that is JSON or as text.
func (f *forge) sign(key *ecdsa.PrivateKey, header, claims any) string {
	signed := encode(f.json(header)) + "." + encode(f.json(claims))
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	require.NoError(f.t, err)
	return signed + "." + encode(append(fill(r), fill(s)...))
}

func (f *forge) json(v any) []byte {
	if text, ok := v.(string); ok {
		return []byte(text)
	}
	raw, err := json.Marshal(v)
	require.NoError(f.t, err)
	return raw
}

func fill(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func keyOf(t *testing.T, pair *ecdsa.PrivateKey) *dpop.Key {
	der, err := x509.MarshalPKCS8PrivateKey(pair)
	require.NoError(t, err)
	key, err := dpop.ParseKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	require.NoError(t, err)
	return key
}

// proofs are the violations, at least three of each check.
func (f *forge) proofs() []spoiltProof {
	var all []spoiltProof
	add := func(name string, reason dpop.Reason, make func(server string, to endpoint) []string) {
		all = append(all, spoiltProof{name: name, reason: reason, make: make})
	}
	header := func(name string, reason dpop.Reason, member string, value any) {
		add(name, reason, func(server string, to endpoint) []string {
			p := f.parts(server, to)
			change(p.header, member, value)
			return []string{f.sign(f.pair, p.header, p.claims)}
		})
	}
	claim := func(name string, reason dpop.Reason, member string, value func(server string, to endpoint) any) {
		add(name, reason, func(server string, to endpoint) []string {
			p := f.parts(server, to)
			change(p.claims, member, value(server, to))
			return []string{f.sign(f.pair, p.header, p.claims)}
		})
	}
	constant := func(value any) func(string, endpoint) any { return func(string, endpoint) any { return value } }
	text := func(name string, reason dpop.Reason, edit func(proof string) string) {
		add(name, reason, func(server string, to endpoint) []string {
			p := f.parts(server, to)
			return []string{edit(f.sign(f.pair, p.header, p.claims))}
		})
	}
	good := func(server string, to endpoint) string {
		p := f.parts(server, to)
		return f.sign(f.pair, p.header, p.claims)
	}

	add("none", dpop.ReasonHeader, func(string, endpoint) []string { return nil })
	add("two", dpop.ReasonHeader, func(s string, to endpoint) []string { return []string{good(s, to), good(s, to)} })
	add("a good and a bad", dpop.ReasonHeader, func(s string, to endpoint) []string { return []string{good(s, to), "x"} })
	add("three", dpop.ReasonHeader, func(s string, to endpoint) []string { return []string{good(s, to), good(s, to), good(s, to)} })

	add("empty", dpop.ReasonForm, func(string, endpoint) []string { return []string{""} })
	add("two in one line", dpop.ReasonForm, func(s string, to endpoint) []string { return []string{good(s, to) + ", " + good(s, to)} })
	text("cut", dpop.ReasonForm, func(p string) string { return p[:strings.LastIndexByte(p, '.')] })
	text("four parts", dpop.ReasonForm, func(p string) string { return p + ".x" })
	text("padded", dpop.ReasonForm, func(p string) string { return strings.Replace(p, ".", "=.", 1) })
	text("last bits set", dpop.ReasonForm, func(p string) string { return p[:len(p)-1] + "B" })
	claim("large", dpop.ReasonForm, "note", constant(strings.Repeat("a", 5000)))
	add("claims twice", dpop.ReasonForm, func(s string, to endpoint) []string {
		p := f.parts(s, to)
		twice := `{"htm":"DELETE",` + string(f.json(p.claims))[1:]
		return []string{f.sign(f.pair, p.header, twice)}
	})
	add("claims a list", dpop.ReasonForm, func(s string, to endpoint) []string {
		return []string{f.sign(f.pair, f.parts(s, to).header, `[]`)}
	})
	header("crit", dpop.ReasonForm, "crit", []string{"exp"})
	header("jku", dpop.ReasonForm, "jku", "https://evil.test/jwks")

	for _, name := range []string{"jti", "htm", "htu", "iat"} {
		claim("no "+name, dpop.ReasonClaims, name, constant(nil))
	}
	claim("jti a number", dpop.ReasonClaims, "jti", constant(7))
	claim("jti long", dpop.ReasonClaims, "jti", constant(strings.Repeat("x", 257)))
	claim("iat a text", dpop.ReasonClaims, "iat", constant("now"))
	claim("nonce a number", dpop.ReasonClaims, "nonce", constant(1))

	for _, typ := range []any{"JWT", "at+jwt", "DPOP+JWT", "application/dpop+jwt", nil} {
		header("typ "+label(typ), dpop.ReasonType, "typ", typ)
	}
	for _, alg := range []any{"none", "HS256", "RS256", "ES384", "es256", nil} {
		header("alg "+label(alg), dpop.ReasonAlgorithm, "alg", alg)
	}

	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f.t, err)
	add("signed by a stranger", dpop.ReasonSignature, func(s string, to endpoint) []string {
		p := f.parts(s, to)
		return []string{f.sign(stranger, p.header, p.claims)}
	})
	resign := func(name string, edit func(signature string) string) {
		text(name, dpop.ReasonSignature, func(p string) string {
			at := strings.LastIndexByte(p, '.') + 1
			return p[:at] + edit(p[at:])
		})
	}
	resign("no signature", func(string) string { return "" })
	resign("signature of zeros", func(string) string { return encode(make([]byte, 64)) })
	resign("signature cut", func(s string) string { return s[:len(s)-2] })
	resign("signature of another", func(string) string {
		other := f.sign(f.pair, `{}`, `{}`)
		return other[strings.LastIndexByte(other, '.')+1:]
	})

	jwk := func(name string, reason dpop.Reason, edit func(map[string]any)) {
		key := f.jwk(f.pair)
		edit(key)
		header("jwk "+name, reason, "jwk", key)
	}
	jwk("with d", dpop.ReasonPrivateKey, func(k map[string]any) { k["d"] = encode(make([]byte, 32)) })
	jwk("shared", dpop.ReasonPrivateKey, func(k map[string]any) { clear(k); k["kty"], k["k"] = "oct", "c2VjcmV0" })
	jwk("RSA with p and q", dpop.ReasonPrivateKey, func(k map[string]any) { k["p"], k["q"] = "AQ", "AQ" })
	jwk("P-384", dpop.ReasonKey, func(k map[string]any) { k["crv"] = "P-384" })
	jwk("off the curve", dpop.ReasonKey, func(k map[string]any) { k["y"] = encode(make([]byte, 32)) })
	jwk("short x", dpop.ReasonKey, func(k map[string]any) { k["x"] = "AQAB" })
	jwk("without y", dpop.ReasonKey, func(k map[string]any) { delete(k, "y") })
	jwk("for EdDSA", dpop.ReasonKey, func(k map[string]any) { k["alg"] = "EdDSA" })
	jwk("with x5u", dpop.ReasonKey, func(k map[string]any) { k["x5u"] = "https://evil.test/" })
	header("jwk a text", dpop.ReasonKey, "jwk", "key-1")
	header("no jwk", dpop.ReasonKey, "jwk", nil)

	claim("htm of another", dpop.ReasonMethod, "htm", func(_ string, to endpoint) any {
		if to.method == "DELETE" {
			return "GET"
		}
		return "DELETE"
	})
	claim("htm in other case", dpop.ReasonMethod, "htm", func(_ string, to endpoint) any { return strings.ToLower(to.method) })
	claim("htm of two", dpop.ReasonMethod, "htm", func(_ string, to endpoint) any { return to.method + ",POST" })

	target := func(name string, edit func(server string, to endpoint) string) {
		claim("htu "+name, dpop.ReasonTarget, "htu", func(s string, to endpoint) any { return edit(s, to) })
	}
	target("of another path", func(s string, to endpoint) string { return s + to.path + "/x" })
	target("with a slash more", func(s string, to endpoint) string { return s + to.path + "/" })
	target("of another host", func(_ string, to endpoint) string { return "http://export.test" + to.path })
	target("of another port", func(_ string, to endpoint) string { return "http://127.0.0.1:1" + to.path })
	target("of another scheme", func(s string, to endpoint) string { return strings.Replace(s, "http", "https", 1) + to.path })
	target("with a user", func(s string, to endpoint) string { return strings.Replace(s, "//", "//x@", 1) + to.path })
	target("upwards", func(s string, to endpoint) string { return s + "/x/.." + to.path })
	target("relative", func(_ string, to endpoint) string { return to.path })

	at := func(name string, off time.Duration) {
		claim("iat "+name, dpop.ReasonTime, "iat", constant(f.world.Now().Add(off).Unix()))
	}
	at("61 s ago", -61*time.Second)
	at("in 61 s", 61*time.Second)
	at("yesterday", -24*time.Hour)
	at("next year", 365*24*time.Hour)
	claim("iat of 1970", dpop.ReasonTime, "iat", constant(0))

	claim("no ath", dpop.ReasonToken, "ath", constant(nil))
	claim("ath of another", dpop.ReasonToken, "ath", constant(dpop.TokenHash("x")))
	claim("ath the token", dpop.ReasonToken, "ath", constant(f.token))
	claim("ath empty", dpop.ReasonToken, "ath", constant(""))
	for _, name := range []string{"one thief", "another thief", "a third thief"} {
		thief, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(f.t, err)
		add(name, dpop.ReasonBinding, func(s string, to endpoint) []string {
			p := f.parts(s, to)
			p.header["jwk"] = f.jwk(thief)
			return []string{f.sign(thief, p.header, p.claims)}
		})
	}

	for name, nonce := range map[string]any{"without nonce": nil, "with an old nonce": "nonce-1", "with a long nonce": "nonce-22"} {
		claim(name, dpop.ReasonNonce, "nonce", constant(nonce))
		all[len(all)-1].wanted = "nonce-2"
	}
	return all
}

func change(object map[string]any, member string, value any) {
	if value == nil {
		delete(object, member)
		return
	}
	object[member] = value
}

func label(value any) string {
	if value == nil {
		return "missing"
	}
	return value.(string)
}

// requireThreeOfEach counts violations by reason.
func (f *forge) requireThreeOfEach(proofs []spoiltProof) {
	counts := map[dpop.Reason]int{}
	for _, p := range proofs {
		counts[p.reason]++
	}
	require.Len(f.t, counts, 14, "all checks of RFC 9449 section 4.3, two of them in two reasons")
	for reason, n := range counts {
		require.GreaterOrEqual(f.t, n, 3, reason)
	}
}
