package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

// renewBefore is how long before its end a token is replaced.
const renewBefore = 30 * time.Second

// Credentials get access tokens for a program of its own, bound to its key (OAuth 2.0
// client credentials, RFC 6749 section 4.4, with DPoP, RFC 9449 section 5).
//
//	credentials := &client.Credentials{Endpoint: "https://issuer.example/oauth/token", ID: "ci", Secret: secret, Key: key}
//	c, err := client.New("https://export.example", "", client.Tokens(credentials.Token), client.DPoP(key))
type Credentials struct {
	// Endpoint is the issuer's token endpoint: https, or http on loopback.
	Endpoint   string
	ID, Secret string
	Scopes     []string // none: all that the client has
	Key        *dpop.Key
	// HTTP is the client to use; nil = one that follows no redirects.
	HTTP *http.Client

	mu    sync.Mutex
	token Token
	nonce string
}

// Token is an access token that is bound to the key it was asked for with.
type Token struct {
	Access  string
	Expires time.Time
}

// Fresh reports whether the token is good for a request at now.
func (t Token) Fresh(now time.Time) bool {
	return t.Access != "" && now.Before(t.Expires.Add(-renewBefore))
}

// Token gives a token that is good for a request now; it is a TokenSource.
func (c *Credentials) Token(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.token.Fresh(clock.System()) {
		token, err := c.fetch(ctx)
		if err != nil {
			return "", err
		}
		c.token = token
	}
	return c.token.Access, nil
}

// Fetch asks the issuer for a new token.
func (c *Credentials) Fetch(ctx context.Context) (Token, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fetch(ctx)
}

func (c *Credentials) fetch(ctx context.Context) (Token, error) {
	if !strings.HasPrefix(c.Endpoint, "https://") && !dpop.OnLoopback(c.Endpoint) {
		return Token{}, fmt.Errorf("token endpoint %q: want https, or http on loopback: a secret is sent there", c.Endpoint)
	}
	if c.Key == nil || c.ID == "" || c.Secret == "" {
		return Token{}, errors.New("token endpoint: client id, secret or key is missing")
	}
	token, err := c.ask(ctx)
	var problem *Problem
	if errors.As(err, &problem) && problem.Code == "use_dpop_nonce" {
		token, err = c.ask(ctx)
	}
	return token, err
}

func (c *Credentials) ask(ctx context.Context) (Token, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(c.Scopes) > 0 {
		form.Set("scope", strings.Join(c.Scopes, " "))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return Token{}, fmt.Errorf("token endpoint: %w", err)
	}
	now := clock.System()
	proof, err := c.Key.Proof(dpop.Claims{Method: http.MethodPost, Address: c.Endpoint, Nonce: c.nonce, Now: now})
	if err != nil {
		return Token{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("DPoP", proof)
	req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
	doer := c.HTTP
	if doer == nil {
		doer = defaultHTTP()
		defer doer.CloseIdleConnections()
	}
	resp, err := doer.Do(req)
	if err != nil {
		return Token{}, &connectionError{fmt.Errorf("token endpoint: %w", err)}
	}
	if nonce := resp.Header.Get("DPoP-Nonce"); nonce != "" {
		c.nonce = nonce
	}
	raw, err := readAnswer(resp)
	if err != nil {
		return Token{}, fmt.Errorf("token endpoint: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return Token{}, fmt.Errorf("token endpoint: %w", refusal(resp, raw))
	}
	return tokenOf(raw, now)
}

// tokenOf reads an answer (RFC 6749 section 5.1). A token of another type than DPoP
// would be bound to nothing; it is not used.
func tokenOf(raw []byte, now time.Time) (Token, error) {
	var answer struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return Token{}, errors.New("token endpoint: the answer is not JSON")
	}
	if !strings.EqualFold(answer.Type, "DPoP") {
		return Token{}, fmt.Errorf("token endpoint: the token is of the type %.20q, not DPoP; the issuer does not bind it to the key", answer.Type)
	}
	if err := checkToken(answer.Token); err != nil {
		return Token{}, fmt.Errorf("token endpoint: %w", err)
	}
	const longest = 24 * 60 * 60
	life := time.Duration(min(max(answer.Expires, 0), longest)) * time.Second
	return Token{Access: answer.Token, Expires: now.Add(life)}, nil
}

// refusal reads an error of a token endpoint (RFC 6749 section 5.2).
func refusal(resp *http.Response, raw []byte) *Problem {
	var answer struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	p := &Problem{Status: resp.StatusCode, Message: "the issuer answered " + resp.Status}
	if json.Unmarshal(raw, &answer) == nil && answer.Code != "" {
		p.Code, p.Message = answer.Code, answer.Description
	}
	return p
}
