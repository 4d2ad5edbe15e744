package dpop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Key is a client's own key: P-256, never sent anywhere.
type Key struct {
	private    *ecdsa.PrivateKey
	header     string // of every proof, encoded
	thumbprint string
}

// NewKey draws a key.
func NewKey() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return keyOf(private)
}

const pemType = "PRIVATE KEY"

// ParseKey reads what PEM wrote: a P-256 private key in PKCS #8, in PEM.
func ParseKey(raw []byte) (*Key, error) {
	block, rest := pem.Decode(raw)
	if block == nil || block.Type != pemType || len(rest) > 0 {
		return nil, errors.New("it is not one PEM block of the type " + pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is not a private key in PKCS #8")
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, errors.New("it is not a P-256 key")
	}
	return keyOf(private)
}

// PEM writes the private key; whoever has it can use the tokens bound to it.
func (k *Key) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("write a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// Thumbprint is what a token's cnf.jkt must be (RFC 7638).
func (k *Key) Thumbprint() string { return k.thumbprint }

func keyOf(private *ecdsa.PrivateKey) (*Key, error) {
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("read a key: %w", err)
	}
	x, y := point[1:1+coordinate], point[1+coordinate:]
	head := fmt.Sprintf(`{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"%s","y":"%s"}}`,
		encoding.EncodeToString(x), encoding.EncodeToString(y))
	return &Key{private: private, header: encoding.EncodeToString([]byte(head)), thumbprint: thumbprintEC(x, y)}, nil
}

// Claims say what a proof is for.
type Claims struct {
	Method string
	// Address of the request; query and fragment are left out of the proof.
	Address string
	// Token is the access token that goes with it; "" at a token endpoint.
	Token string
	// Nonce is what the server asked for last; "" = nothing.
	Nonce string
	Now   time.Time
}

// Proof makes a proof for one request. It must not be sent twice.
func (k *Key) Proof(c Claims) (string, error) {
	target, err := Target(c.Address)
	if err != nil {
		return "", fmt.Errorf("make a DPoP proof: the address of the request: %w", err)
	}
	id := make([]byte, 16)
	rand.Read(id) //nolint:errcheck // crypto/rand never fails
	claims := struct {
		ID     string `json:"jti"`
		Method string `json:"htm"`
		Target string `json:"htu"`
		Issued int64  `json:"iat"`
		Hash   string `json:"ath,omitempty"`
		Nonce  string `json:"nonce,omitempty"`
	}{ID: encoding.EncodeToString(id), Method: c.Method, Target: target, Issued: c.Now.Unix(), Nonce: c.Nonce}
	if c.Token != "" {
		claims.Hash = TokenHash(c.Token)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("make a DPoP proof: %w", err)
	}
	signed := k.header + "." + encoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign a DPoP proof: %w", err)
	}
	var signature [2 * coordinate]byte
	r.FillBytes(signature[:coordinate])
	s.FillBytes(signature[coordinate:])
	return signed + "." + encoding.EncodeToString(signature[:]), nil
}
