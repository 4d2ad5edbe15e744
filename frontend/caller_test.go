package frontend_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// answer is a response that was read to its end.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// caller sends requests as one token holder and checks the contract.
type caller struct {
	t      testing.TB
	world  *frontendtest.World
	client *http.Client
	token  string
}

func newCaller(t testing.TB, w *frontendtest.World, tenant string) *caller {
	return &caller{t: t, world: w, client: w.Client(t), token: w.Token(t, tenant)}
}

// send sends a request; headers come in pairs.
func (c *caller) send(method, path, body string, headers ...string) answer {
	c.t.Helper()
	req, err := http.NewRequest(method, c.world.URL+path, strings.NewReader(body))
	require.NoError(c.t, err)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.client.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

func (a answer) problem(t testing.TB) frontend.Problem {
	t.Helper()
	require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"), a.Body)
	var p frontend.Problem
	require.NoError(t, json.Unmarshal([]byte(a.Body), &p))
	require.Equal(t, a.Status, p.Status)
	return p
}

func (a answer) run(t testing.TB) frontend.Run {
	t.Helper()
	var r frontend.Run
	require.NoError(t, json.Unmarshal([]byte(a.Body), &r), a.Body)
	return r
}
