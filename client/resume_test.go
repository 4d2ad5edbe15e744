package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
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

// scissors is a proxy that cuts connections: each answer after as many bytes as
// cut says, headers included (0 = never).
func scissors(t *testing.T, server string, cut func(connection int64) int64) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	var connections atomic.Int64
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			n := cut(connections.Add(1))
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", strings.TrimPrefix(server, "http://"))
				if err != nil {
					return
				}
				defer out.Close()
				go io.Copy(out, in)
				if n > 0 {
					io.CopyN(in, out, n)
					in.(*net.TCPConn).SetLinger(0) // a reset, as of a cable that is pulled
					return
				}
				io.Copy(in, out)
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// A connection that is cut at random bytes, also within the headers, costs time
// and nothing else.
func TestDownloadThroughAProxyThatCuts(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 0))
		var cuts atomic.Int64
		address := scissors(t, w.URL, func(n int64) int64 {
			if n > 6 {
				return 0
			}
			cuts.Add(1)
			return 700 + random.Int64N(int64(len(archive))/4)
		})
		c, err := client.New(address, w.Token(t, "acme"))
		require.NoError(t, err)
		var got bytes.Buffer
		result, err := c.Download(t.Context(), run.ID, &got)
		require.NoError(t, err, "seed %d", seed)
		require.True(t, bytes.Equal(archive, got.Bytes()))
		require.Equal(t, run.Result.ArchiveDigest, result.Digest)
		require.Positive(t, cuts.Load())
	}
}

// What an interrupted download left is the beginning of the next, wherever it
// ended, the first and the last byte included.
func TestResumeAtAnyByte(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newClient(t, w)
	places := []int{0, 1, 511, 512, 513, len(archive) - 1, len(archive)}
	for range 40 {
		places = append(places, rand.IntN(len(archive)))
	}
	for _, at := range places {
		var rest bytes.Buffer
		result, err := c.Resume(t.Context(), run.ID, bytes.NewReader(archive[:at]), &rest)
		require.NoError(t, err, "at %d", at)
		require.True(t, bytes.Equal(archive[at:], rest.Bytes()), "at %d", at)
		require.Equal(t, client.Archive{Digest: bundle.DigestOf(archive).String(), Bytes: int64(len(archive))}, result)
	}
}

func TestResumeAfterSomethingElse(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newClient(t, w)
	rotten := bytes.Clone(archive)
	rotten[1000] ^= 1
	for name, have := range map[string][]byte{
		"one bit": rotten[:5000], "all, one bit": rotten, "longer": append(bytes.Clone(archive), 0),
	} {
		_, err := c.Resume(t.Context(), run.ID, bytes.NewReader(have), io.Discard)
		require.ErrorIs(t, err, client.ErrDigest, name)
	}
	unreadable := errors.New("input/output error")
	_, err := c.Resume(t.Context(), run.ID, io.MultiReader(bytes.NewReader(archive[:10]), failing{unreadable}), io.Discard)
	require.ErrorIs(t, err, unreadable)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A blob that rotted while it was sent: what came before it came, and the server
// then says what is wrong instead of breaking connections for ever.
func TestDownloadOfARottenBundleEndsWithAReason(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	files, err := w.Runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	w.Objects.Replace("acme", files[1].Digest, make([]byte, files[1].Size))
	var got bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = newClient(t, w).Download(ctx, run.ID, &got)
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, 500, problem.Status)
	require.False(t, client.Temporary(err))
	require.Equal(t, 3*bundle.BlockSize, got.Len(), "README and the header of the file behind it")
	require.Equal(t, archive[:got.Len()], got.Bytes())
}

// A process that takes up what another left asks for the rest of the same archive,
// by its tag; when the server has another, nothing of it is taken.
func TestResumeNamesTheArchive(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	watched := &tagged{next: http.DefaultTransport}
	c, err := client.New(w.URL, w.Token(t, "acme"), client.HTTP(&http.Client{Transport: watched}))
	require.NoError(t, err)
	var rest bytes.Buffer
	_, err = c.Resume(t.Context(), run.ID, bytes.NewReader(archive[:777]), &rest)
	require.NoError(t, err)
	require.True(t, bytes.Equal(archive[777:], rest.Bytes()))
	require.Equal(t, []string{"HEAD  ", "GET bytes=777- \"" + run.Result.ArchiveDigest + "\""}, watched.seen)

	watched.change = func(req *http.Request) {
		if req.Method == http.MethodGet {
			req.Header.Set("If-Range", `"another"`)
		}
	}
	rest.Reset()
	_, err = c.Resume(t.Context(), run.ID, bytes.NewReader(archive[:777]), &rest)
	require.ErrorIs(t, err, client.ErrDigest)
	require.Zero(t, rest.Len())
}

// tagged notes what was asked for.
type tagged struct {
	next   http.RoundTripper
	seen   []string
	change func(*http.Request)
}

func (n *tagged) RoundTrip(req *http.Request) (*http.Response, error) {
	n.seen = append(n.seen, req.Method+" "+req.Header.Get("Range")+" "+req.Header.Get("If-Range"))
	if n.change != nil {
		n.change(req)
	}
	return n.next.RoundTrip(req)
}

// Each process is cut off at a chosen byte of its connection, and the next goes on
// with the file it left: within the headers, at their end, in a tar header, at the
// borders of files, at the last byte.
func TestProcessesCutAtChosenBytes(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	const size = 512
	var cut atomic.Int64
	address := scissors(t, w.URL, func(int64) int64 { return cut.Load() })
	token := w.Token(t, "acme")
	var have []byte
	process := func(n int64) error {
		cut.Store(n)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		// A process that is cut off does not try again: it ends with its first failure.
		transport := &dying{next: &http.Transport{DisableKeepAlives: true}, die: cancel}
		c, err := client.New(address, token, client.HTTP(&http.Client{Transport: transport}))
		require.NoError(t, err)
		var rest bytes.Buffer
		_, err = c.Resume(ctx, run.ID, bytes.NewReader(have), &rest)
		have = append(have, rest.Bytes()...)
		return err
	}
	for _, n := range []int64{1, 100, 900, 1000, 1100, 1200, 1500, 2 * size, 3*size - 1, 3 * size, 3*size + 1, 5000, 20000, 60000} {
		require.Error(t, process(n))
		require.True(t, bytes.HasPrefix(archive, have), "after a cut at %d", n)
	}
	require.NotEmpty(t, have)
	require.NoError(t, process(0))
	require.True(t, bytes.Equal(archive, have))
}

// dying ends its process with the second connection that it would make for a part.
type dying struct {
	next http.RoundTripper
	die  func()
	gets int
}

func (d *dying) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet {
		if d.gets++; d.gets > 1 {
			d.die()
			return nil, context.Canceled
		}
	}
	resp, err := d.next.RoundTrip(req)
	if err != nil {
		d.die()
	}
	return resp, err
}
