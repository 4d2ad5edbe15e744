package frontend_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
)

// spoiltRuns answers GetRun with one error, or panics.
type spoiltRuns struct {
	storage.Runs
	answer func() error
}

func (s spoiltRuns) GetRun(context.Context, export.Ref) (export.Run, error) {
	return export.Run{}, s.answer()
}

func TestErrorsBecomeProblems(t *testing.T) {
	secret := "dial tcp 10.1.2.3:5432: password=hunter2 /var/lib/blobs SQLSTATE 28P01"
	for name, test := range map[string]struct {
		answer func() error
		status int
		code   string
	}{
		"unknown error":   {func() error { return errors.New(secret) }, 500, "ERR_EXPORT_INTERNAL"},
		"panic":           {func() error { panic(secret) }, 500, "ERR_EXPORT_INTERNAL"},
		"runtime panic":   {func() error { return []error{}[len(t.Name())] }, 500, "ERR_EXPORT_INTERNAL"},
		"not found":       {func() error { return fmt.Errorf("%s: %w", secret, storage.ErrNotFound) }, 404, "ERR_EXPORT_003"},
		"conflict":        {func() error { return fmt.Errorf("%s: %w", secret, storage.ErrConflict) }, 409, "ERR_EXPORT_009"},
		"corrupt":         {func() error { return fmt.Errorf("%s: %w", secret, storage.ErrCorrupt) }, 500, "ERR_EXPORT_INTERNAL"},
		"too slow":        {func() error { return fmt.Errorf("%s: %w", secret, context.DeadlineExceeded) }, 503, "ERR_EXPORT_UNAVAILABLE"},
		"coded":           {func() error { return fmt.Errorf("%s: %w", secret, export.Errorf(export.CodeUnavailable, "try again")) }, 503, "ERR_EXPORT_UNAVAILABLE"},
		"code of no kind": {func() error { return export.Errorf("ERR_SOMETHING", "odd") }, 500, "ERR_SOMETHING"},
		"coded with cause": {func() error {
			return &export.Error{Code: export.CodeUnavailable, Message: "try again", Err: errors.New(secret)}
		}, 503, "ERR_EXPORT_UNAVAILABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			w := frontendtest.New(t, func(c *frontend.Config) { c.Runs = spoiltRuns{c.Runs, test.answer} })
			c := newCaller(t, w, "acme")
			if test.status == 409 {
				c.client = http.DefaultClient // not an answer of this operation; only the mapping matters here
			}
			a := c.send("GET", runsPath+"/0192f3c4-5d6e-7f80-9a1b-000000000001", "", "traceparent",
				"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
			require.Equal(t, test.status, a.Status, a.Body)
			p := a.problem(t)
			require.Equal(t, test.code, p.Code)
			require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", p.TraceID)
			require.Equal(t, "urn:stellaops:error:"+test.code, p.Type)
			require.Equal(t, frontendtest.Start, p.Timestamp)
			require.NotEmpty(t, p.Title)
			for _, word := range []string{"hunter2", "10.1.2.3", "SQLSTATE", "/var/lib", "goroutine"} {
				require.NotContains(t, a.Body, word)
			}
			if test.status == 500 {
				require.Contains(t, w.Log.String(), p.TraceID, "the log explains the trace id")
			}
		})
	}
}

func TestEveryCodeHasAMeaning(t *testing.T) {
	for i := 1; i <= 21; i++ {
		code := export.Code(fmt.Sprintf("ERR_EXPORT_%03d", i))
		w := frontendtest.New(t, func(c *frontend.Config) {
			c.Runs = spoiltRuns{c.Runs, func() error { return export.Errorf(code, "x") }}
		})
		req, err := http.NewRequest("GET", w.URL+runsPath+"/0192f3c4-5d6e-7f80-9a1b-000000000001", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+w.Token(t, "acme"))
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		var p frontend.Problem
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&p))
		resp.Body.Close()
		require.NotEqual(t, "Internal error", p.Title, code)
		require.NotZero(t, p.Status/100 == 4 || p.Status/100 == 5)
	}
}

func TestTraceIDs(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	for _, bad := range []string{"", "00-xyz-1-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", strings.Repeat("a", 5000),
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"} {
		p := c.send("GET", runsPath+"/x", "", "traceparent", bad).problem(t)
		require.Regexp(t, "^[0-9a-f]{32}$", p.TraceID)
		require.NotContains(t, p.TraceID, "00000000000000000000000000000000")
	}
}

func TestOperationsHaveScopesAndExamplesFit(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(frontend.Spec)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()), "the document, its examples and their schemas")
	open := []string{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			require.NotEmpty(t, op.OperationID, "%s %s", method, path)
			scopes := 0
			for _, requirement := range *op.Security {
				scopes += len(requirement["bearer"])
			}
			if scopes == 0 {
				open = append(open, path)
			}
			for status, answer := range op.Responses.Map() {
				for name, media := range answer.Value.Content {
					if !strings.HasSuffix(name, "json") {
						continue
					}
					require.NotEmpty(t, media.Examples, "%s %s %s has no example", method, path, status)
				}
			}
		}
	}
	require.ElementsMatch(t, []string{"/.well-known/openapi", "/.well-known/openapi.json", "/health/live", "/health/ready", "/schemas/export-profile/{file}"}, open)
}

func TestHealth(t *testing.T) {
	var broken, slow bool
	w := frontendtest.New(t, func(c *frontend.Config) {
		c.Ready = append(c.Ready,
			frontend.Check{Name: "database", Run: func(context.Context) error {
				if broken {
					return errors.New("dial tcp 10.1.2.3:5432: refused")
				}
				return nil
			}},
			frontend.Check{Name: "engine", Run: func(context.Context) error {
				if slow {
					time.Sleep(10 * time.Second)
				}
				return nil
			}})
	})
	c := newCaller(t, w, "acme")
	c.token = ""
	require.Equal(t, 200, c.send("GET", "/health/live", "").Status)
	ready := c.send("GET", "/health/ready", "")
	require.Equal(t, 200, ready.Status)
	require.JSONEq(t, `{"status":"ok","checks":[{"name":"keys","ok":true},{"name":"database","ok":true},{"name":"engine","ok":true}]}`, ready.Body)
	broken, slow = true, true
	began := time.Now()
	ready = c.send("GET", "/health/ready", "")
	require.Less(t, time.Since(began), 5*time.Second, "a check that hangs does not hang the answer")
	require.Equal(t, 503, ready.Status)
	require.JSONEq(t, `{"status":"failing","checks":[{"name":"keys","ok":true},{"name":"database","ok":false},{"name":"engine","ok":false}]}`, ready.Body)
	require.NotContains(t, ready.Body, "10.1.2.3")
	require.Contains(t, w.Log.String(), "10.1.2.3")
}
