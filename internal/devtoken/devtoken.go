// Package devtoken issues development tokens: what `exportcenter up` makes on
// first start so that one machine works without an identity provider. The
// issuer is a P-256 key in a file of the data directory; its tokens are bound
// to nothing and last for weeks, so they are believed by that installation
// only, which listens on loopback only (CONTRACT section 0, ruling 15).
package devtoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/stella-ops/exportcenter/internal/durable"
)

// Audience is who the tokens are for.
const Audience = "exportcenter"

// Lifetime of a token unless another is asked for.
const Lifetime = 30 * 24 * time.Hour

// AllScopes are the scopes of the token that `up` issues.
var AllScopes = []string{
	"export:run", "export:read", "export:download", "export:profile:manage", "ledger:import", "ledger:read", "audit:read", "orchestrator:exports:write",
}

// IssuerName names the issuer of an installation.
func IssuerName(installation string) string { return "exportcenter-dev:" + installation }

// Claims are what a token says about its bearer.
type Claims struct {
	Subject  string
	Tenant   string
	Project  string // "" = none
	Scopes   []string
	Roles    []string
	Lifetime time.Duration
	// Thumbprint binds the token to a key (RFC 9449 section 6.1); "" = to none.
	Thumbprint string
}

// Issuer signs tokens with ES256 (RFC 7518 section 3.4).
type Issuer struct {
	name string
	key  jwk.Key
}

// Open reads the issuer's private key (RFC 7517) from path.
func Open(name, path string) (*Issuer, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read token issuer: %w", err)
	}
	key, err := jwk.ParseKey(raw)
	if err != nil {
		return nil, fmt.Errorf("token issuer %s: %w", path, err)
	}
	private, ok := key.(jwk.ECDSAPrivateKey)
	if !ok {
		return nil, fmt.Errorf("token issuer %s: it holds no private elliptic curve key", path)
	}
	return &Issuer{name: name, key: private}, nil
}

// Create makes the key at path unless it is there, and writes the public key
// set that the API believes to jwks.
func Create(path, jwks string) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err = newKey()
		if err == nil {
			err = durable.WriteFile(path, append(raw, '\n'), 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("make token issuer: %w", err)
	}
	set, err := publicSet(raw)
	if err != nil {
		return fmt.Errorf("token issuer %s: %w", path, err)
	}
	if err := durable.WriteFile(jwks, append(set, '\n'), 0o644); err != nil {
		return fmt.Errorf("write token issuer's public keys: %w", err)
	}
	return nil
}

// Issue signs a token that is valid from now on.
func (i *Issuer) Issue(c Claims, now time.Time) (string, error) {
	if c.Tenant == "" {
		return "", errors.New("issue token: no tenant given")
	}
	id := make([]byte, 16)
	rand.Read(id) //nolint:errcheck // crypto/rand never fails
	builder := jwt.NewBuilder().
		Issuer(i.name).Audience([]string{Audience}).Subject(c.Subject).
		JwtID(base64.RawURLEncoding.EncodeToString(id)).
		IssuedAt(now).NotBefore(now).Expiration(now.Add(c.Lifetime)).
		Claim("tenant", c.Tenant).Claim("scope", strings.Join(c.Scopes, " "))
	if c.Project != "" {
		builder = builder.Claim("project", c.Project)
	}
	if len(c.Roles) > 0 {
		builder = builder.Claim("roles", c.Roles)
	}
	if c.Thumbprint != "" {
		builder = builder.Claim("cnf", map[string]string{"jkt": c.Thumbprint})
	}
	token, err := builder.Build()
	if err != nil {
		return "", fmt.Errorf("issue token: %w", err)
	}
	signed, err := jwt.Sign(token, jwt.WithKey(jwa.ES256(), i.key))
	if err != nil {
		return "", fmt.Errorf("issue token: %w", err)
	}
	return string(signed), nil
}

// newKey makes a private key in JWK form. Its id is its RFC 7638 thumbprint.
func newKey() ([]byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := jwk.Import(private)
	if err != nil {
		return nil, err
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]any{
		jwk.KeyIDKey:     base64.RawURLEncoding.EncodeToString(thumbprint),
		jwk.AlgorithmKey: jwa.ES256(),
		jwk.KeyUsageKey:  "sig",
	} {
		if err := key.Set(name, value); err != nil {
			return nil, err
		}
	}
	return json.MarshalIndent(key, "", "  ")
}

// publicSet is the key set (RFC 7517 section 5) with the public half alone.
func publicSet(private []byte) ([]byte, error) {
	key, err := jwk.ParseKey(private)
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	set := jwk.NewSet()
	if err := set.AddKey(public); err != nil {
		return nil, err
	}
	return json.MarshalIndent(set, "", "  ")
}
