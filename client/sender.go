package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

// TokenSource gives the access token for the next request. It is asked before every
// one, so it keeps what is still good.
type TokenSource func(ctx context.Context) (string, error)

// Fixed gives the same token every time.
func Fixed(token string) TokenSource {
	return func(context.Context) (string, error) { return token, nil }
}

// credentialError is a request that was not sent because there was no token for it.
type credentialError struct{ err error }

func (c *credentialError) Error() string { return "get an access token: " + c.err.Error() }
func (c *credentialError) Unwrap() error { return c.err }

// proofError is an answer that asks for another proof, to a request whose body
// cannot be sent again from here. Whoever made it can.
type proofError struct{ *Problem }

func (p *proofError) Unwrap() error { return p.Problem }

// sender puts token, proof and tenant on every request: also on one that is made
// again, on each part of a download, and on each parcel of an import.
type sender struct {
	http   *http.Client
	tokens TokenSource
	key    *dpop.Key // nil: the token is bound to none
	tenant string
	clock  clock.Clock
	nonce  atomic.Pointer[string] // the last one the server asked for

	watch func(Exchange) // nil: nobody watches
	trace string
}

func newSender(s settings) *sender {
	made := &sender{http: s.http, tokens: s.tokens, key: s.key, tenant: s.tenant, clock: clock.System, watch: s.watch}
	if s.watch != nil {
		made.trace = strings.ReplaceAll(clock.NewID(), "-", "")
	}
	return made
}

// Exchange is a request that was made, and what became of it.
type Exchange struct {
	Method, Path string
	Status       int   // 0 beside an Err
	Err          error // there was no answer
	TraceID      string
	Took         time.Duration // until the headers of the answer
}

// send makes the request, and says so to who watches.
func (s *sender) send(req *http.Request) (*http.Response, error) {
	if s.watch == nil {
		return s.http.Do(req)
	}
	// The parent is no span of ours to look up: the trace id is what is sought.
	req.Header.Set("traceparent", "00-"+s.trace+"-"+s.trace[16:]+"-01")
	begun := s.clock()
	resp, err := s.http.Do(req)
	e := Exchange{Method: req.Method, Path: req.URL.Path, Err: err, TraceID: s.trace, Took: s.clock().Sub(begun)}
	if err == nil {
		e.Status = resp.StatusCode
	}
	s.watch(e)
	return resp, err
}

// Do sends a request. An answer that asks for another proof did nothing, so the
// request is made once more. That happens when the server has lost its memory of
// used proofs (use_dpop_nonce), and when net/http itself sends a request again
// because an idle connection was closed: then its proof was used already.
func (s *sender) Do(req *http.Request) (*http.Response, error) {
	resp, err := s.once(req)
	if err != nil || s.key == nil || !wantsProof(resp) {
		return resp, err
	}
	again, ok := rewound(req)
	if !ok {
		return resp, nil
	}
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxProblem)) //nolint:errcheck // for the connection's sake
	resp.Body.Close()                                          //nolint:errcheck // the same
	return s.once(again)
}

func (s *sender) once(req *http.Request) (*http.Response, error) {
	token, err := s.tokens(req.Context())
	if err == nil {
		err = checkToken(token)
	}
	if err != nil {
		closeBody(req)
		return nil, &credentialError{err}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if s.tenant != "" {
		req.Header.Set("X-Stella-Tenant", s.tenant)
	}
	if s.key != nil {
		proof, err := s.proof(req, token)
		if err != nil {
			closeBody(req)
			return nil, &credentialError{err}
		}
		req.Header.Set("Authorization", "DPoP "+token)
		req.Header.Set("DPoP", proof)
	}
	resp, err := s.send(req)
	if err == nil {
		if nonce := resp.Header.Get("DPoP-Nonce"); nonce != "" {
			s.nonce.Store(&nonce)
		}
	}
	return resp, err
}

func (s *sender) proof(req *http.Request, token string) (string, error) {
	claims := dpop.Claims{Method: req.Method, Address: req.URL.String(), Token: token, Now: s.clock()}
	if nonce := s.nonce.Load(); nonce != nil {
		claims.Nonce = *nonce
	}
	return s.key.Proof(claims)
}

// wantsProof reports whether the server refused the proof and nothing else.
func wantsProof(resp *http.Response) bool {
	if resp.StatusCode != http.StatusUnauthorized {
		return false
	}
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		if strings.Contains(challenge, `error="use_dpop_nonce"`) || strings.Contains(challenge, `error="invalid_dpop_proof"`) {
			return true
		}
	}
	return false
}

// rewound gives req with its body at the beginning, if it can be brought there.
func rewound(req *http.Request) (*http.Request, bool) {
	again := req.Clone(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return again, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	again.Body = body
	return again, err == nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close() //nolint:errcheck // nothing was read
	}
}

func checkToken(token string) error {
	if token == "" || strings.ContainsAny(token, " \r\n\t") {
		return errors.New("the token is empty or has spaces or line ends in it")
	}
	return nil
}

// maxAnswer bounds what a token endpoint says.
const maxAnswer = 64 << 10

func readAnswer(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, &connectionError{fmt.Errorf("read answer: %w", err)}
	}
	if len(raw) > maxAnswer {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	return raw, nil
}
