package frontend

import (
	"errors"
	"net/http"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

// The error codes of a challenge (RFC 6750 section 3.1, RFC 9449 section 7.1 and 8).
const (
	invalidToken      = "invalid_token"
	invalidProof      = "invalid_dpop_proof"
	insufficientScope = "insufficient_scope"
	useNonce          = "use_dpop_nonce"
)

// challenge is a refusal that says to a program what was wrong with its credentials.
type challenge struct {
	err    error
	reason string // "" when there were none
	nonce  string // what the next proof must carry, with useNonce
}

func (c *challenge) Error() string { return c.err.Error() }
func (c *challenge) Unwrap() error { return c.err }

// challenge says which credentials would be taken: one header for each scheme (RFC
// 9110 section 11.6.1). Nothing of what was sent is repeated.
func (s *Server) challenge(h http.Header, err error, problem Problem) {
	reason := ""
	var found *challenge
	switch {
	case problem.Status == http.StatusUnauthorized:
		if errors.As(err, &found) {
			reason = found.reason
		}
	case problem.Code == string(export.CodeScope):
		reason = insufficientScope
	default:
		return
	}
	if found != nil && found.nonce != "" {
		h.Set("DPoP-Nonce", found.nonce)
	}
	words := `realm="exportcenter"`
	if reason != "" {
		words += `, error="` + reason + `"`
	}
	h.Add("WWW-Authenticate", dpopScheme+" "+words+`, algs="`+dpop.Algorithms+`"`)
	if !s.cfg.RequireDPoP && reason != invalidProof && reason != useNonce {
		h.Add("WWW-Authenticate", bearerScheme+" "+words)
	}
}
