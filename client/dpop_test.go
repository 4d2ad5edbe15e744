package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/internal/devissuer"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

// loggedIn is a client of a World with credentials of its own.
func loggedIn(t *testing.T, options ...client.Option) (*frontendtest.World, *client.Client, *client.Credentials) {
	t.Helper()
	w, register := frontendtest.WithLogin(t)
	secret := register(devissuer.Client{ID: "ci", Tenant: "acme", Scopes: []string{export.ScopeLedgerImport, export.ScopeRead}, Roles: []export.Role{export.RoleOperator}})
	key, err := dpop.NewKey()
	require.NoError(t, err)
	credentials := &client.Credentials{Endpoint: w.URL + "/oauth/token", ID: "ci", Secret: secret, Key: key}
	c, err := client.New(w.URL, "", append(options, client.Tokens(credentials.Token), client.DPoP(key))...)
	require.NoError(t, err)
	return w, c, credentials
}

func TestBoundCallsOfEveryKind(t *testing.T) {
	w, c, _ := loggedIn(t)
	me, err := c.Me(t.Context())
	require.NoError(t, err)
	require.True(t, me.DpopBound)
	require.Equal(t, "client:ci acme", me.Subject+" "+me.Tenant)
	require.Contains(t, me.Actions, "CreateRun")

	run, err := c.CreateRun(t.Context(), client.RunRequest{ProfileID: "json:raw"}, "")
	require.NoError(t, err)
	_, err = c.GetRun(t.Context(), run.RunID)
	require.NoError(t, err)
	finished, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	var got bytes.Buffer
	_, err = c.Download(t.Context(), finished.ID, &got)
	require.NoError(t, err)
	require.Equal(t, archive, got.Bytes())
	_, err = c.Resume(t.Context(), finished.ID, bytes.NewReader(archive[:100]), &bytes.Buffer{})
	require.NoError(t, err)
	require.NotContains(t, w.Log.String(), "eyJ", "tokens and proofs do not belong into logs")
}

// While the server wants its nonce the client's first call is made twice, the next
// once.
func TestTheClientTakesTheServersNonce(t *testing.T) {
	transport := &counting{next: http.DefaultTransport}
	w, c, _ := loggedIn(t, client.HTTP(&http.Client{Transport: transport}))
	w.Proofs.Set(nil, "nonce-of-the-server")
	_, err := c.CreateRun(t.Context(), client.RunRequest{ProfileID: "json:raw"}, "")
	require.NoError(t, err)
	require.EqualValues(t, 2, transport.requests.Load())
	_, err = c.Me(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, transport.requests.Load())
	require.Len(t, w.Starter.Started, 1)
}

type counting struct {
	next     http.RoundTripper
	requests atomic.Int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	return c.next.RoundTrip(r)
}

// A body that cannot be sent again from below is sent again by the import itself.
func TestAnImportTakesTheServersNonce(t *testing.T) {
	w, c, _ := loggedIn(t)
	w.Proofs.Set(nil, "nonce-of-the-server")
	total, err := c.ImportDocuments(t.Context(), documents(25), client.Import{Jobs: 2})
	require.NoError(t, err)
	require.EqualValues(t, 25, total.Summary.Read)
}

func TestCredentials(t *testing.T) {
	w, c, credentials := loggedIn(t)
	one, err := credentials.Token(t.Context())
	require.NoError(t, err)
	same, err := credentials.Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, one, same, "a token that is good is kept")
	other, err := credentials.Fetch(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, one, other.Access)

	credentials.Secret = "wrong"
	_, err = credentials.Fetch(t.Context())
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, "401 invalid_client", fmt.Sprint(problem.Status, " ", problem.Code))
	require.False(t, client.Temporary(err))
	_, err = c.Me(t.Context())
	require.NoError(t, err, "the token is good for some minutes more")

	for _, endpoint := range []string{"http://issuer.example/token", "ftp://127.0.0.1/", "", "http://127.0.0.1.evil.test/"} {
		bad := &client.Credentials{Endpoint: endpoint, ID: "ci", Secret: "s", Key: credentials.Key}
		_, err := bad.Fetch(t.Context())
		require.ErrorContains(t, err, "want https", endpoint)
	}
	require.NotContains(t, w.Log.String(), one)
}

// What a source says reaches the caller, and nothing is sent.
func TestATokenSourceThatFails(t *testing.T) {
	w := frontendtest.New(t)
	broken := errors.New("the vault is sealed")
	c, err := client.New(w.URL, "", client.Tokens(func(context.Context) (string, error) { return "", broken }))
	require.NoError(t, err)
	_, err = c.Me(t.Context())
	require.ErrorIs(t, err, broken)
	require.False(t, client.Temporary(err))
	c, err = client.New(w.URL, "", client.Tokens(client.Fixed("two words")))
	require.NoError(t, err)
	_, err = c.Me(t.Context())
	require.ErrorContains(t, err, "spaces")
}

// A token that is bound to nothing is not used, whatever the issuer thinks of it.
func TestAnswersOfATokenEndpoint(t *testing.T) {
	said := ""
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, said) })) //nolint:errcheck // test
	defer issuer.Close()
	key, err := dpop.NewKey()
	require.NoError(t, err)
	credentials := &client.Credentials{Endpoint: issuer.URL, ID: "ci", Secret: "s", Key: key}
	said = `{"access_token":"a.b.c","token_type":"dpop","expires_in":300}`
	token, err := credentials.Fetch(t.Context())
	require.NoError(t, err)
	require.Equal(t, "a.b.c", token.Access)
	require.True(t, token.Fresh(token.Expires.Add(-31*time.Second)))
	require.False(t, token.Fresh(token.Expires.Add(-30*time.Second)))
	for answer, why := range map[string]string{
		`{"access_token":"a.b.c","token_type":"Bearer","expires_in":300}`: "not DPoP",
		`{"access_token":"a.b.c","expires_in":300}`:                       "not DPoP",
		`{"access_token":"","token_type":"DPoP"}`:                         "empty",
		`{"access_token":"a\r\nX: y","token_type":"DPoP"}`:                "spaces or line ends",
		"<html>":                   "not JSON",
		strings.Repeat(" ", 70000): "larger than",
	} {
		said = answer
		_, err := credentials.Fetch(t.Context())
		require.ErrorContains(t, err, why, "%.60q", answer)
	}
	said = `{"access_token":"a.b.c","token_type":"DPoP","expires_in":-5}`
	token, err = credentials.Fetch(t.Context())
	require.NoError(t, err)
	require.False(t, token.Fresh(time.Now()), "it has ended")
}
