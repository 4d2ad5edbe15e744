package frontend_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// TestMain wants every answer that the OpenAPI document describes to have been given
// by a running server, once all tests were run.
func TestMain(m *testing.M) {
	code := testkit.Main(m)
	if whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""; code == 0 && whole {
		code = unanswered()
	}
	os.Exit(code)
}

// neverAnswered are answers that no test can have, and why.
var neverAnswered = map[string]string{
	"GetOpenAPI 500":       "its bytes were made at the start",
	"GetOpenAPIJSON 500":   "as above",
	"GetProfileSchema 500": "as above",
}

func unanswered() int {
	missing, err := frontendtest.Unanswered()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	missing = slices.DeleteFunc(missing, func(pair string) bool { return neverAnswered[pair] != "" })
	if len(missing) == 0 {
		return 0
	}
	fmt.Printf("no test has seen these answers, which openapi.yaml describes (operation status):\n\t%s\n", strings.Join(missing, "\n\t"))
	return 1
}

// failing is a verifier that fails.
type failing struct{ err error }

func (f failing) Verify(context.Context, string) (frontend.Principal, error) {
	return frontend.Principal{}, f.err
}

// What may happen at the door of every operation is answered as the document says:
// nobody's token, one without the scope, too many calls, a service that cannot know
// whose token it is, one that fails.
func TestTheDoorOfEveryOperation(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*frontend.Config)
		token  func(w *frontendtest.World) string
		status int
	}{
		"nobody":      {nil, func(*frontendtest.World) string { return "x" }, http.StatusUnauthorized},
		"no scope":    {nil, func(w *frontendtest.World) string { return w.Issuer.Token(t, "acme") }, http.StatusForbidden},
		"unavailable": {func(c *frontend.Config) { c.Verifier = failing{export.Errorf(export.CodeUnavailable, "no keys")} }, nil, http.StatusServiceUnavailable},
		"broken":      {func(c *frontend.Config) { c.Verifier = failing{errors.New("the disk says no")} }, nil, http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			w := frontendtest.New(t)
			if c.change != nil {
				w = frontendtest.New(t, c.change)
			}
			token := "x"
			if c.token != nil {
				token = c.token(w)
			}
			knockEverywhere(t, w, token, c.status)
		})
	}
	t.Run("too often", func(t *testing.T) {
		w := frontendtest.New(t, func(c *frontend.Config) { c.Rates = frontend.Rates{PerSecond: 1e-9, Burst: 1} })
		for _, tenant := range []string{"acme", export.Installation} {
			newCallerWith(t, w, w.Issuer.Token(t, tenant, export.Scopes...)).send("GET", "/api/nothing", "")
		}
		knockEverywhere(t, w, "", http.StatusTooManyRequests)
	})
}

// knockEverywhere sends every operation that wants a scope; "" is a token of
// whoever may call it.
func knockEverywhere(t *testing.T, w *frontendtest.World, token string, status int) {
	client := &http.Client{Transport: frontendtest.NewContract(t)}
	for _, d := range describedOperations(t) {
		if len(d.scopes()) == 0 {
			continue
		}
		with := token
		if with == "" {
			tenant := "acme"
			if slices.ContainsFunc(d.scopes(), func(scopes []string) bool { return strings.HasPrefix(scopes[0], "tenant:") }) {
				tenant = export.Installation
			}
			with = w.Issuer.Token(t, tenant, export.Scopes...)
		}
		resp, err := client.Do(d.sample(w.URL, with))
		require.NoError(t, err, d.ID)
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		if status == http.StatusTooManyRequests && strings.HasPrefix(d.ID, "StreamEvents") {
			continue // the hub bounds them
		}
		require.Equal(t, status, resp.StatusCode, "%s: %s", d.ID, raw)
	}
}

func newCallerWith(t testing.TB, w *frontendtest.World, token string) *caller {
	c := newCaller(t, w, "acme")
	c.token = token
	return c
}
