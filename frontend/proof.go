package frontend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing/dpop"
	"github.com/stella-ops/exportcenter/storage"
)

// prove holds a request to the key its token is bound to. A bound token always
// needs a proof, whatever the scheme (RFC 9449 section 7.2). A token that is bound
// to nothing must come as Bearer and without a proof: whoever sends one believes
// that nobody else could use the token, and is wrong. It gives the proof, nil of an
// unbound token; whether it was used before is useProof's question.
func (s *Server) prove(r *http.Request, scheme, token string, who Principal) (*dpop.Proof, error) {
	headers := r.Header.Values(dpopScheme)
	if who.Thumbprint == "" {
		switch {
		case s.cfg.RequireDPoP:
			return nil, &challenge{reason: invalidToken, err: refused("it is bound to no key, and this installation takes none that are not (DPoP, RFC 9449)", nil)}
		case scheme == dpopScheme || len(headers) > 0:
			return nil, &challenge{reason: invalidToken, err: refused("a DPoP proof came with it, but it is bound to no key (cnf.jkt)", nil)}
		}
		return nil, nil //nolint:nilnil // there is none
	}
	proof, err := dpop.Check(headers, dpop.Request{
		Method: callOf(r.Context()).request.Method, Targets: s.targets(r),
		Token: token, Thumbprint: who.Thumbprint, Now: s.clock(), Keys: &s.proofKeys,
	})
	if err != nil {
		return nil, &challenge{reason: invalidProof, err: refusedProof(err)}
	}
	return &proof, nil
}

// useProof sees to it that a proof serves once, over all processes. When that
// cannot be known the request is refused.
func (s *Server) useProof(ctx context.Context, proof dpop.Proof) error {
	err := s.cfg.Proofs.Use(ctx, storage.Proof{ID: proof.ID, Nonce: proof.Nonce}, s.clock())
	var wanted *storage.NonceError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrProofUsed):
		return &challenge{reason: invalidProof, err: refusedProof(&dpop.Refusal{Reason: dpop.ReasonReplayed})}
	case errors.As(err, &wanted):
		return &challenge{reason: useNonce, nonce: wanted.Nonce, err: refusedProof(&dpop.Refusal{Reason: dpop.ReasonNonce})}
	}
	return &export.Error{Code: export.CodeUnavailable, Class: export.ClassTransient,
		Message: "whether the DPoP proof was used before cannot be found out; try again with a new one",
		Err:     fmt.Errorf("memory of used proofs: %w", err)}
}

// refusedProof words a refusal without quoting the proof.
func refusedProof(err error) *export.Error {
	reason := dpop.ReasonForm
	var refusal *dpop.Refusal
	if errors.As(err, &refusal) {
		reason = refusal.Reason
	}
	return &export.Error{Code: export.CodeAuth, Class: export.ClassPermanent, Field: dpopScheme,
		Message: "the DPoP proof is not accepted: " + string(reason), Err: err}
}

// targets are the addresses that a proof for r may name. The Host header is the
// sender's word: whoever got hold of a proof for another server could send it here
// under that server's name. So it counts on loopback only, where `exportcenter up`
// has several names for one address; elsewhere the configured address does.
func (s *Server) targets(r *http.Request) []string {
	var targets []string
	add := func(base string) {
		if target, err := dpop.Target(strings.TrimSuffix(base, "/") + r.URL.EscapedPath()); err == nil {
			targets = append(targets, target)
		}
	}
	if s.cfg.PublicURL != "" {
		add(s.cfg.PublicURL)
	}
	if called := "http://" + r.Host; s.onLoopback && dpop.OnLoopback(called) {
		add(called)
	}
	return targets
}
