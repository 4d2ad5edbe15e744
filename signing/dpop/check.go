package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
)

const (
	// maxProof bounds the text of a proof before anything of it is decoded.
	maxProof = 4 << 10
	// maxID bounds a proof's jti.
	maxID = 256
	// Window is how far a proof's iat may be from now, either way.
	Window = 60 * time.Second
)

// Reason is the check that a proof failed, in words for the client (RFC 9449
// section 4.3; the numbers are those of its list).
type Reason string

// The reasons. ReasonNonce and ReasonReplayed are for callers of Check.
const (
	ReasonHeader     Reason = "send exactly one DPoP header"                         // 1
	ReasonForm       Reason = "it is not a well-formed JWT"                          // 2
	ReasonClaims     Reason = "a claim is missing or malformed (jti, htm, htu, iat)" // 3
	ReasonType       Reason = "its typ is not dpop+jwt"                              // 4
	ReasonAlgorithm  Reason = "its alg is not one of ES256 and EdDSA"                // 5
	ReasonSignature  Reason = "its signature is not that of its jwk"                 // 6
	ReasonPrivateKey Reason = "its jwk holds a private key; make a new one"          // 7
	ReasonKey        Reason = "its jwk is not a public key for its alg"              // 7
	ReasonMethod     Reason = "its htm is not the method of the request"             // 8
	ReasonTarget     Reason = "its htu is not the address of the request"            // 9
	ReasonNonce      Reason = "the server's nonce is missing or has changed"         // 10
	ReasonTime       Reason = "its iat is not within 60 s of now"                    // 11
	ReasonToken      Reason = "its ath is not the hash of the access token"          // 12
	ReasonBinding    Reason = "its key is not the one the token is bound to"         // 12
	ReasonReplayed   Reason = "it was used before; make a new one for each request"
)

// Refusal is a proof that is not accepted. Detail is for the log; it holds
// nothing that could be used again.
type Refusal struct {
	Reason Reason
	Detail string
}

func (r *Refusal) Error() string {
	if r.Detail == "" {
		return string(r.Reason)
	}
	return string(r.Reason) + ": " + r.Detail
}

func refuse(reason Reason, detail string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(detail, args...)}
}

// Request is what a proof must be made for.
type Request struct {
	Method string
	// Targets are the addresses under which the request may have been sent, each as
	// Target writes it.
	Targets []string
	// Token is the access token that came with it; "" at a token endpoint, where
	// there is none yet.
	Token string
	// Thumbprint is the key the token is bound to; "" at a token endpoint.
	Thumbprint string
	Now        time.Time
	// Keys, if set, remembers what the headers of good proofs say.
	Keys *Keys
}

// Proof is a proof that passed all checks but two: whether it was seen before,
// and whether its nonce is wanted.
type Proof struct {
	// Thumbprint of its key (RFC 7638).
	Thumbprint string
	// ID stands for the proof among those of all keys.
	ID [sha256.Size]byte
	// Nonce is the server's nonce that it carries; "" = none.
	Nonce string
	// Issued is its iat.
	Issued time.Time
}

// header is all that a proof's header may have. Whatever would bring another
// rule (crit, b64, zip, jku, x5u) is unknown and refuses it.
type header struct {
	Type      string          `json:"typ"`
	Algorithm string          `json:"alg"`
	Key       json.RawMessage `json:"jwk"`
}

// Check checks the DPoP headers of a request. An error is a *Refusal.
func Check(headers []string, want Request) (Proof, error) {
	if len(headers) != 1 {
		return Proof{}, refuse(ReasonHeader, "there are %d", len(headers))
	}
	signed, signature, err := split(headers[0])
	if err != nil {
		return Proof{}, err
	}
	first, second, _ := strings.Cut(signed, ".")
	key, known := want.Keys.find(first)
	if !known {
		if key, err = readHeader(first); err != nil {
			return Proof{}, err
		}
	}
	proof, err := readClaims(second, want)
	if err != nil {
		return Proof{}, err
	}
	if want.Thumbprint != "" && subtle.ConstantTimeCompare([]byte(key.thumbprint), []byte(want.Thumbprint)) != 1 {
		return Proof{}, refuse(ReasonBinding, "")
	}
	// Last, because it is what costs.
	if !key.verifies([]byte(signed), signature) {
		return Proof{}, refuse(ReasonSignature, "")
	}
	if !known {
		want.Keys.keep(strings.Clone(first), key)
	}
	proof.Thumbprint = key.thumbprint
	proof.ID = sha256.Sum256([]byte(key.thumbprint + "." + string(proof.ID[:])))
	return proof, nil
}

// split cuts a proof before its signature.
func split(proof string) (signed string, signature []byte, err error) {
	if len(proof) > maxProof {
		return "", nil, refuse(ReasonForm, "it is larger than %d bytes", maxProof)
	}
	if strings.Count(proof, ".") != 2 {
		return "", nil, refuse(ReasonForm, "it has not three parts")
	}
	at := strings.LastIndexByte(proof, '.')
	if signature, err = encoding.DecodeString(proof[at+1:]); err != nil {
		return "", nil, refuse(ReasonForm, "a part is not base64url")
	}
	return proof[:at], signature, nil
}

func readHeader(part string) (publicKey, error) {
	raw, err := encoding.DecodeString(part)
	if err != nil {
		return publicKey{}, refuse(ReasonForm, "a part is not base64url")
	}
	var h header
	if err := bundle.UnmarshalStrict(raw, &h); err != nil {
		return publicKey{}, refuse(ReasonForm, "header: %v", err)
	}
	if h.Type != "dpop+jwt" {
		return publicKey{}, refuse(ReasonType, "")
	}
	if h.Algorithm != ES256 && h.Algorithm != EdDSA {
		return publicKey{}, refuse(ReasonAlgorithm, "")
	}
	if len(h.Key) == 0 {
		return publicKey{}, refuse(ReasonKey, "it is missing")
	}
	key, err := readKey(h.Key)
	if err == nil && key.algorithm != h.Algorithm {
		err = refuse(ReasonKey, "it is for another algorithm")
	}
	return key, err
}

// readClaims gives a proof whose ID is still the hash of its jti alone.
func readClaims(part string, want Request) (Proof, error) {
	var p Proof
	raw, err := encoding.DecodeString(part)
	if err != nil {
		return p, refuse(ReasonForm, "a part is not base64url")
	}
	var claims map[string]json.RawMessage // others than ours may be there
	if err := bundle.UnmarshalStrict(raw, &claims); err != nil || claims == nil {
		return p, refuse(ReasonForm, "claims: %v", err)
	}
	id, method, address := text(claims["jti"]), text(claims["htm"]), text(claims["htu"])
	var seconds int64
	if id == "" || len(id) > maxID || method == "" || address == "" || json.Unmarshal(claims["iat"], &seconds) != nil {
		return p, refuse(ReasonClaims, "")
	}
	if method != want.Method {
		return p, refuse(ReasonMethod, "")
	}
	if err := checkTarget(address, want.Targets); err != nil {
		return p, err
	}
	p.Issued = time.Unix(seconds, 0)
	if p.Issued.Before(want.Now.Add(-Window)) || p.Issued.After(want.Now.Add(Window)) {
		return p, refuse(ReasonTime, "")
	}
	if err := checkToken(claims["ath"], want.Token); err != nil {
		return p, err
	}
	if nonce, there := claims["nonce"]; there {
		if p.Nonce = text(nonce); p.Nonce == "" || len(p.Nonce) > maxID {
			return p, refuse(ReasonClaims, "nonce")
		}
	}
	p.ID = sha256.Sum256([]byte(id))
	return p, nil
}

func checkTarget(address string, targets []string) error {
	got, err := Target(address)
	if err != nil {
		return refuse(ReasonTarget, "%v", err)
	}
	for _, target := range targets {
		if got == target {
			return nil
		}
	}
	return refuse(ReasonTarget, "")
}

func checkToken(ath json.RawMessage, token string) error {
	if token == "" {
		return nil
	}
	if subtle.ConstantTimeCompare([]byte(text(ath)), []byte(TokenHash(token))) != 1 {
		return refuse(ReasonToken, "")
	}
	return nil
}

// TokenHash is the ath claim for an access token: base64url of the SHA-256 of
// its text (RFC 9449 section 4.2).
func TokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return encoding.EncodeToString(sum[:])
}
