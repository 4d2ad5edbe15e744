package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
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
