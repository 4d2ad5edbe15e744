package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// fetching is a world with one bundle, for the command that downloads it.
type fetching struct {
	*frontendtest.World
	t       *testing.T
	run     export.Run
	archive []byte
	dir     string
}

func newFetching(t *testing.T) *fetching {
	w := newWorld(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	t.Setenv("STELLA_SERVER", w.URL)
	t.Setenv("STELLA_TOKEN", w.Token(t, "acme"))
	t.Setenv("STELLA_TENANT", "acme")
	return &fetching{World: w, t: t, run: run, archive: archive, dir: t.TempDir()}
}

func (f *fetching) target() string { return filepath.Join(f.dir, "bundle.tar") }
func (f *fetching) part() string   { return filepath.Join(f.dir, ".stella-"+f.run.ID+".partial") }

func (f *fetching) download() error {
	command := rootCommand()
	command.SetArgs([]string{"export", "download", f.run.ID, "--output", f.target()})
	command.SetOut(io.Discard)
	command.SetErr(io.Discard)
	return command.ExecuteContext(f.t.Context())
}

// requireWhole checks that the bundle is there and nothing else.
func (f *fetching) requireWhole() {
	f.t.Helper()
	got, err := os.ReadFile(f.target())
	require.NoError(f.t, err)
	require.True(f.t, bytes.Equal(f.archive, got))
	left, err := os.ReadDir(f.dir)
	require.NoError(f.t, err)
	require.Len(f.t, left, 1)
	require.NoError(f.t, os.Remove(f.target()))
}

// A server that goes away for good leaves a part; the command says so, and given
// again it asks only for the rest.
func TestAnInterruptedDownloadGoesOn(t *testing.T) {
	f := newFetching(t)
	const enough = 70_000
	real, err := url.Parse(f.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(real)
	var calls atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) > 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(&dyingWriter{ResponseWriter: w, left: enough}, r)
	}))
	t.Cleanup(front.Close)
	t.Setenv("STELLA_SERVER", front.URL)
	err = f.download()
	require.Equal(t, exitTransient, exitCode(err))
	require.ErrorContains(t, err, "the same command goes on behind them")
	require.NoFileExists(t, f.target())
	part, err := os.ReadFile(f.part())
	require.NoError(t, err)
	require.True(t, bytes.Equal(f.archive[:len(part)], part))

	t.Setenv("STELLA_SERVER", f.URL)
	require.NoError(t, f.download())
	f.requireWhole()
	require.Contains(t, f.Log.String(), `"status":206,"bytes":`+strconv.Itoa(len(f.archive)-len(part)))
}

// dyingWriter breaks the connection after some bytes of the body.
type dyingWriter struct {
	http.ResponseWriter
	left int
}

func (d *dyingWriter) Write(p []byte) (int, error) {
	n, err := d.ResponseWriter.Write(p[:min(len(p), d.left)])
	if d.left -= n; d.left == 0 {
		d.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func (d *dyingWriter) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func TestADownloadGoesOnBehindWhateverWasLeft(t *testing.T) {
	f := newFetching(t)
	left := map[string][]byte{"nothing": {}, "all": f.archive, "more than all": append(bytes.Clone(f.archive), 0),
		"something else": []byte("not a bundle"), "a hole": make([]byte, 5000)}
	for range 10 {
		at := rand.IntN(len(f.archive))
		left[strconv.Itoa(at)+" bytes"] = f.archive[:at]
	}
	for name, content := range left {
		require.NoError(t, os.WriteFile(f.part(), content, 0o600))
		require.NoError(t, f.download(), name)
		f.requireWhole()
	}
}

// The name of a part can be guessed; where others may write, it may be theirs.
func TestAForeignPartIsNotTouched(t *testing.T) {
	f := newFetching(t)
	victim := filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o600))
	require.NoError(t, os.Symlink(victim, f.part()))
	err := f.download()
	require.Equal(t, exitInput, exitCode(err))
	require.ErrorContains(t, err, "remove it")
	require.NoError(t, os.Remove(f.part()))
	if os.Geteuid() == 0 {
		require.NoError(t, os.WriteFile(f.part(), nil, 0o666))
		require.NoError(t, os.Chown(f.part(), 65534, 65534))
		require.ErrorContains(t, f.download(), "remove it")
		require.NoError(t, os.Remove(f.part()))
	}
	content, err := os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "precious", string(content))

	held, err := openPart(f.target(), f.run.ID)
	require.NoError(t, err)
	require.ErrorContains(t, f.download(), "another stella")
	held.drop()
	require.NoError(t, f.download())
	f.requireWhole()
}

func TestADownloadThatCannotBeginLeavesNothing(t *testing.T) {
	f := newFetching(t)
	f.run = f.Run("acme", export.StateExpired)
	require.Equal(t, exitNotFound, exitCode(f.download()))
	left, err := os.ReadDir(f.dir)
	require.NoError(t, err)
	require.Empty(t, left)
	f.dir = filepath.Join(f.dir, "none")
	err = f.download()
	require.Equal(t, exitInput, exitCode(err))
	var own *exitError
	require.True(t, errors.As(err, &own))
}
