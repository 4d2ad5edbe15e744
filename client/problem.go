package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/stella-ops/exportcenter/internal/clock"
)

// maxProblem bounds the body of a refusal.
const maxProblem = 1 << 20

// Error makes a Problem an error: the code, what the server says, and the
// trace id that finds the reason in its log.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.Code != "" {
		b.WriteString(p.Code + ": ")
	}
	b.WriteString(p.Message)
	fmt.Fprintf(&b, " (HTTP %d", p.Status)
	if p.TraceID != "" {
		b.WriteString(", trace " + p.TraceID)
	}
	b.WriteString(")")
	return b.String()
}

// Temporary reports whether the same request may succeed later.
func (p *Problem) Temporary() bool {
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Temporary reports whether err may go away by itself: the server could not be
// reached, broke the connection off, or asks to come back later.
func Temporary(err error) bool {
	var uncredited *credentialError
	if errors.As(err, &uncredited) {
		return Temporary(uncredited.err)
	}
	var unproven *proofError
	if errors.As(err, &unproven) {
		return true
	}
	var problem *Problem
	if errors.As(err, &problem) {
		return problem.Temporary()
	}
	var unreachable *connectionError
	return errors.As(err, &unreachable)
}

// connectionError is a request that got no answer.
type connectionError struct{ err error }

func (c *connectionError) Error() string { return c.err.Error() }
func (c *connectionError) Unwrap() error { return c.err }

// expect gives back a response of one of the wanted statuses and turns every
// other into a *Problem. It takes what a generated call returns.
func expect(resp *http.Response, err error, wanted ...int) (*http.Response, error) {
	if err != nil {
		return nil, &connectionError{err}
	}
	for _, status := range wanted {
		if resp.StatusCode == status {
			return resp, nil
		}
	}
	defer resp.Body.Close()
	problem := problemOf(resp)
	if wantsProof(resp) {
		return nil, &proofError{problem}
	}
	if after, said := askedFor(resp.Header, clock.System()); said && problem.Temporary() {
		return nil, &laterError{problem, after}
	}
	return nil, problem
}

func problemOf(resp *http.Response) *Problem {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	var p Problem
	if err == nil && json.Unmarshal(raw, &p) == nil && p.Code != "" {
		p.Status = resp.StatusCode
		return &p
	}
	return &Problem{Status: resp.StatusCode, Title: resp.Status,
		Message: "the server answered " + resp.Status + " without a reason; is this the address of Export Center?"}
}

// decode reads a JSON answer of bounded size.
func decode(resp *http.Response, into any) error {
	defer resp.Body.Close()
	const limit = 64 << 20
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return &connectionError{fmt.Errorf("read answer: %w", err)}
	}
	if len(raw) > limit {
		return fmt.Errorf("the answer is larger than %d bytes", limit)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("the answer is not what the API promises: %w", err)
	}
	return nil
}
