package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

func newClient(t *testing.T, w *frontendtest.World) *client.Client {
	t.Helper()
	c, err := client.New(w.URL, w.Token(t, "acme"), client.HTTP(w.Client(t)), client.Tenant("acme"))
	require.NoError(t, err)
	return c
}

func TestRunFromRequestToDownload(t *testing.T) {
	w := frontendtest.New(t)
	c := newClient(t, w)
	run, err := c.CreateRun(t.Context(), client.RunRequest{ProfileID: "json:raw",
		Selectors: client.Selectors{Ecosystems: []string{"npm"}}}, "key")
	require.NoError(t, err)
	require.Equal(t, client.RunStatusPending, run.Status)
	require.False(t, run.Ended())
	again, err := c.CreateRun(t.Context(), client.RunRequest{ProfileID: "json:raw",
		Selectors: client.Selectors{Ecosystems: []string{"npm"}}}, "key")
	require.NoError(t, err)
	require.Equal(t, run.RunID, again.RunID)

	var archive []byte
	time.AfterFunc(200*time.Millisecond, func() {
		stored, _ := w.Runs.GetRun(context.Background(), export.Ref{Tenant: "acme", RunID: run.RunID})
		_, archive = w.Finish(t, stored)
	})
	seen := 0
	run, err = c.WaitRun(t.Context(), run.RunID, func(client.Run) { seen++ })
	require.NoError(t, err)
	require.Equal(t, client.RunStatusSucceeded, run.Status)
	require.True(t, run.Ended())
	require.Greater(t, seen, 1)

	var got bytes.Buffer
	result, err := c.Download(t.Context(), run.RunID, &got)
	require.NoError(t, err)
	require.Equal(t, archive, got.Bytes())
	require.Equal(t, client.Archive{Digest: run.ArchiveDigest, Bytes: run.ArchiveBytes}, result)

	manifest, err := c.Manifest(t.Context(), run.RunID)
	require.NoError(t, err)
	require.Equal(t, run.ManifestDigest, bundle.DigestOf(manifest).String())
	provenance, err := c.Provenance(t.Context(), run.RunID)
	require.NoError(t, err)
	require.Contains(t, string(provenance), "in-toto")

	page, err := c.ListRuns(t.Context(), client.ListRunsParams{})
	require.NoError(t, err)
	require.Len(t, page.Runs, 1)

	_, err = c.CancelRun(t.Context(), run.RunID, "too late")
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, 409, problem.Status)
	require.Equal(t, "ERR_EXPORT_009", problem.Code)
}

func TestProblems(t *testing.T) {
	w := frontendtest.New(t)
	c := newClient(t, w)
	_, err := c.GetRun(t.Context(), "0192f3c4-5d6e-7f80-9a1b-00000000ffff")
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, "ERR_EXPORT_003", problem.Code)
	require.False(t, client.Temporary(err))
	require.Regexp(t, `^get run 0192f3c4-5d6e-7f80-9a1b-00000000ffff: ERR_EXPORT_003: this tenant has no such run \(HTTP 404, trace [0-9a-f]{32}\)$`, err.Error())

	other, err := client.New(w.URL, w.Token(t, "acme"), client.Tenant("globex"))
	require.NoError(t, err)
	_, err = other.GetRun(t.Context(), "x")
	require.ErrorAs(t, err, &problem)
	require.Equal(t, 403, problem.Status)

	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "<h1>not found</h1>", 404) }))
	t.Cleanup(page.Close)
	stranger, err := client.New(page.URL, "t")
	require.NoError(t, err)
	_, err = stranger.GetRun(t.Context(), "x")
	require.ErrorContains(t, err, "is this the address of Export Center?")
	for _, bad := range []string{"", "localhost:1", "ftp://x", "http://", "://"} {
		_, err := client.New(bad, "t")
		require.Error(t, err, bad)
	}
	_, err = client.New("http://x", "a\nb")
	require.Error(t, err)
}

// The token is for the server that was named: a redirect is not followed.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var leaked atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked.Store(leaked.Load() || r.Header.Get("Authorization") != "")
	}))
	t.Cleanup(thief.Close)
	front := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	t.Cleanup(front.Close)
	c, err := client.New(front.URL, "secret")
	require.NoError(t, err)
	_, err = c.GetRun(t.Context(), "x")
	require.Error(t, err)
	require.False(t, leaked.Load())
}

// flaky passes requests on and spoils some of the answers.
type flaky struct {
	next  http.RoundTripper
	spoil func(n int64, r *http.Response) (*http.Response, error)
	calls atomic.Int64
}

func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := f.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return f.spoil(f.calls.Add(1), resp)
}

type brokenBody struct {
	io.Reader
	io.Closer
}

func cutAfter(resp *http.Response, n int64) {
	resp.Body = brokenBody{io.MultiReader(io.LimitReader(resp.Body, n), errorReader{}), resp.Body}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestDownloadGoesOnWhereItBroke(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	f := &flaky{next: http.DefaultTransport, spoil: func(n int64, r *http.Response) (*http.Response, error) {
		if n < 6 {
			cutAfter(r, 20000*n)
		}
		return r, nil
	}}
	c, err := client.New(w.URL, w.Token(t, "acme"), client.HTTP(&http.Client{Transport: f}))
	require.NoError(t, err)
	var got bytes.Buffer
	_, err = c.Download(t.Context(), run.ID, &got)
	require.NoError(t, err)
	require.Equal(t, archive, got.Bytes())
	require.Greater(t, f.calls.Load(), int64(2))
}

func TestDownloadRefusesWrongBytes(t *testing.T) {
	w := frontendtest.New(t)
	run, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	for name, spoil := range map[string]func(int64, *http.Response) (*http.Response, error){
		"one byte": func(_ int64, r *http.Response) (*http.Response, error) {
			raw, _ := io.ReadAll(r.Body)
			raw[777] ^= 1
			r.Body = io.NopCloser(bytes.NewReader(raw))
			return r, nil
		},
		"no promise": func(_ int64, r *http.Response) (*http.Response, error) {
			r.Header.Del("X-Export-Digest")
			return r, nil
		},
		"longer": func(_ int64, r *http.Response) (*http.Response, error) {
			r.Body = brokenBody{io.MultiReader(r.Body, strings.NewReader("more")), r.Body}
			return r, nil
		},
		"always short": func(_ int64, r *http.Response) (*http.Response, error) {
			cutAfter(r, 0)
			return r, nil
		},
		"another archive after the break": func(n int64, r *http.Response) (*http.Response, error) {
			if n == 1 {
				cutAfter(r, 5000)
			} else {
				r.Header.Set("X-Export-Digest", bundle.DigestOf([]byte("x")).String())
			}
			return r, nil
		},
		"whole instead of rest": func(n int64, r *http.Response) (*http.Response, error) {
			if n == 1 {
				cutAfter(r, 5000)
			} else {
				r.StatusCode = 200
			}
			return r, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := client.New(w.URL, w.Token(t, "acme"), client.HTTP(&http.Client{Transport: &flaky{next: http.DefaultTransport, spoil: spoil}}))
			require.NoError(t, err)
			_, err = c.Download(t.Context(), run.ID, io.Discard)
			require.Error(t, err)
			if name == "one byte" || name == "longer" {
				require.ErrorIs(t, err, client.ErrDigest)
			}
		})
	}
}

func TestDownloadStopsAtAFullDisk(t *testing.T) {
	w := frontendtest.New(t)
	run, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	full := errors.New("no space left")
	_, err := newClient(t, w).Download(t.Context(), run.ID, writerFunc(func([]byte) (int, error) { return 0, full }))
	require.ErrorIs(t, err, full)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestCallsAreRepeatedWhileTheServerRests(t *testing.T) {
	w := frontendtest.New(t)
	run := w.Run("acme", export.StateRunning)
	f := &flaky{next: http.DefaultTransport, spoil: func(n int64, r *http.Response) (*http.Response, error) {
		switch n {
		case 1:
			return nil, errors.New("connection refused")
		case 2:
			r.StatusCode = 503
		}
		return r, nil
	}}
	c, err := client.New(w.URL, w.Token(t, "acme"), client.HTTP(&http.Client{Transport: f}))
	require.NoError(t, err)
	_, err = c.GetRun(t.Context(), run.ID)
	require.NoError(t, err)
	require.Equal(t, int64(3), f.calls.Load())
}

// An auditor reads the list of what the SDK and stella carry.
func TestCarriesNoServer(t *testing.T) {
	for _, pkg := range []string{"github.com/stella-ops/exportcenter/client", "github.com/stella-ops/exportcenter/cmd/stella"} {
		out, err := exec.Command("go", "list", "-deps", pkg).Output()
		require.NoError(t, err, pkg)
		for _, word := range []string{"go.temporal.io", "jackc/pgx", "minio", "labstack/echo", "kin-openapi", "exportcenter/frontend", "exportcenter/storage"} {
			require.NotContains(t, string(out), word, pkg)
		}
	}
}
