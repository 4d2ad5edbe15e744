package frontend

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

const (
	// maxToken bounds the text of a token before anything of it is decoded.
	maxToken = 8 << 10
	// clockSkew is how far the issuer's clock may be from ours.
	clockSkew = 60 * time.Second
)

// tokenAlgorithms are the signature algorithms a token may use: asymmetric
// ones only, so that a public key can never serve as a shared secret.
var tokenAlgorithms = map[string]jwa.SignatureAlgorithm{
	"ES256": jwa.ES256(), "EdDSA": jwa.EdDSA(), "RS256": jwa.RS256(), "PS256": jwa.PS256(),
}

// JWTConfig says whose tokens are believed.
type JWTConfig struct {
	Issuer   string
	Audience string
	Keys     *KeySet
	Clock    clock.Clock
}

// JWTVerifier accepts signed JWTs (RFC 7519) of one issuer for one audience.
type JWTVerifier struct {
	cfg      JWTConfig
	accepted *acceptedTokens
}

// NewJWTVerifier makes a Verifier. An empty issuer or audience is an error: it
// would accept tokens made for somebody else.
func NewJWTVerifier(cfg JWTConfig) (*JWTVerifier, error) {
	if cfg.Issuer == "" || cfg.Audience == "" || cfg.Keys == nil || cfg.Clock == nil {
		return nil, errors.New("token verifier: issuer, audience, keys and clock must be set")
	}
	return &JWTVerifier{cfg: cfg, accepted: newAcceptedTokens(acceptedBytes)}, nil
}

// Verify checks algorithm, key, signature and claims of token, in this order. What
// it accepted it accepts again without looking (acceptedTokens).
func (v *JWTVerifier) Verify(ctx context.Context, token string) (Principal, error) {
	now := v.cfg.Clock()
	if known, ok := v.accepted.find(token, now); ok {
		if keys, err := v.cfg.Keys.fresh(ctx); err == nil && keys == known.keys {
			return known.principal, nil
		}
	}
	header, err := readHeader(token)
	if err != nil {
		return Principal{}, err
	}
	key, keys, err := v.cfg.Keys.find(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return Principal{}, err
	}
	parsed, err := jwt.ParseString(token,
		jwt.WithKey(tokenAlgorithms[header.Algorithm], key),
		jwt.WithValidate(true),
		jwt.WithClock(jwt.ClockFunc(v.cfg.Clock)),
		jwt.WithAcceptableSkew(clockSkew),
		jwt.WithIssuer(v.cfg.Issuer),
		jwt.WithAudience(v.cfg.Audience),
		jwt.WithRequiredClaim(jwt.SubjectKey),
		jwt.WithRequiredClaim(jwt.ExpirationKey),
		jwt.WithRequiredClaim(jwt.IssuedAtKey),
	)
	if err != nil {
		return Principal{}, refused(reasonOf(err), err)
	}
	principal, err := principalOf(parsed)
	if err != nil {
		return Principal{}, err
	}
	v.accepted.keep(token, acceptedToken{principal: principal, keys: keys, from: now, until: principal.Expires})
	return principal, nil
}

// joseHeader are the members a token's header may have. Whatever would bring a
// key or a rule of its own (jku, jwk, x5u, x5c, crit, b64, zip) is not among
// them, and an unknown member refuses the token.
type joseHeader struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
	Content   string `json:"cty"`
	X5t       string `json:"x5t"`
	X5tS256   string `json:"x5t#S256"`
}

// readHeader decodes the protected header before any other code sees the token.
func readHeader(token string) (joseHeader, error) {
	var header joseHeader
	if len(token) > maxToken {
		return header, refused("it is larger than 8 KiB", nil)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return header, refused("it is not a signed JWT", nil)
	}
	for i, part := range parts {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil {
			return header, refused("it is not a signed JWT", err)
		}
		switch i {
		case 0:
			err = bundle.UnmarshalStrict(raw, &header)
		case 1:
			err = unambiguous(raw)
		}
		if err != nil {
			return header, refused("its header or claims are malformed or have a member that is not allowed", err)
		}
	}
	if _, allowed := tokenAlgorithms[header.Algorithm]; !allowed {
		return header, refused("its algorithm is not allowed; use ES256, EdDSA, RS256 or PS256", nil)
	}
	if !slices.Contains([]string{"", "jwt", "at+jwt", "application/at+jwt"}, strings.ToLower(header.Type)) {
		return header, refused("its type is not that of an access token", nil)
	}
	return header, nil
}

// unambiguous refuses claims that name a member twice: two readers could see
// two tenants.
func unambiguous(raw []byte) error {
	var claims map[string]json.RawMessage
	return bundle.UnmarshalStrict(raw, &claims)
}

// principalOf reads who the token speaks for.
func principalOf(token jwt.Token) (Principal, error) {
	var p Principal
	p.Subject, _ = token.Subject()
	if p.Subject == "" || len(p.Subject) > 256 {
		return p, refused("its subject is empty or too long", nil)
	}
	p.Expires, _ = token.Expiration()
	if token.Has("cnf") {
		if p.Thumbprint = boundKey(token); p.Thumbprint == "" {
			return p, refused("its cnf claim is not {\"jkt\": <thumbprint>}, the one kind of binding that is understood", nil)
		}
	}
	if !token.Has("tenant") {
		return p, export.Errorf(export.CodeTenantRequired, "the token has no tenant claim")
	}
	if err := token.Get("tenant", &p.Tenant); err != nil || !export.ValidTenant(p.Tenant) && p.Tenant != export.Installation {
		return p, refused("its tenant claim is not a tenant name", err)
	}
	if token.Has("project") {
		if err := token.Get("project", &p.Project); err != nil || !export.ValidTenant(p.Project) {
			return p, refused("its project claim is not a project name", err)
		}
	}
	scopes, err := scopesOfToken(token)
	if err != nil {
		return p, err
	}
	if p.Roles, err = rolesOfToken(token); err != nil {
		return p, err
	}
	p.Scopes = export.EffectiveScopes(p.Tenant, scopes, p.Roles)
	return p, nil
}

// boundKey gives the thumbprint of the key that the token is bound to (RFC 9449
// section 6.1), "" when it is bound to something else or to more: what we cannot
// check must not be ignored (RFC 7800 section 3.1).
func boundKey(token jwt.Token) string {
	var confirmation map[string]any
	if err := token.Get("cnf", &confirmation); err != nil || len(confirmation) != 1 {
		return ""
	}
	thumbprint, _ := confirmation["jkt"].(string)
	if !dpop.ValidThumbprint(thumbprint) {
		return ""
	}
	return thumbprint
}

// scopesOfToken reads the scope claim (RFC 8693 section 4.2): words in one string.
func scopesOfToken(token jwt.Token) ([]string, error) {
	if !token.Has("scope") {
		return nil, nil
	}
	var scope string
	if err := token.Get("scope", &scope); err != nil {
		return nil, refused("its scope claim is not a string", err)
	}
	return strings.Fields(scope), nil
}

// rolesOfToken reads the roles claim (RFC 9068 section 2.2.3.1): a list of names. Those
// of other services are passed over.
func rolesOfToken(token jwt.Token) ([]export.Role, error) {
	if !token.Has("roles") {
		return nil, nil
	}
	var names []any
	if err := token.Get("roles", &names); err != nil {
		return nil, refused("its roles claim is not a list of names", err)
	}
	var roles []export.Role
	for _, name := range names {
		text, ok := name.(string)
		if !ok {
			return nil, refused("its roles claim is not a list of names", nil)
		}
		if role := export.Role(text); slices.Contains(export.Roles, role) && !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return roles, nil
}

// reasonOf words a validation failure without quoting the token.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, jwt.TokenExpiredError()):
		return "it has expired"
	case errors.Is(err, jwt.TokenNotYetValidError()), errors.Is(err, jwt.InvalidIssuedAtError()):
		return "it is not valid yet"
	case errors.Is(err, jwt.InvalidIssuerError()):
		return "it was issued by somebody else"
	case errors.Is(err, jwt.InvalidAudienceError()):
		return "it was issued for another audience"
	case errors.Is(err, jwt.MissingRequiredClaimError()):
		return "a required claim is missing (iss, aud, sub, exp, iat)"
	}
	return "its signature or form is wrong"
}

func refused(reason string, cause error) *export.Error {
	return &export.Error{Code: export.CodeAuth, Class: export.ClassPermanent,
		Message: "the token is not accepted: " + reason, Err: cause}
}
