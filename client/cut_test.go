package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// inside calls a handler without a network; the answer to the first request for bytes
// breaks off after cut of them, and die is called.
type inside struct {
	handler http.Handler
	cut     int64 // -1 = nothing is cut
	die     func()
}

func (i *inside) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	i.handler.ServeHTTP(recorder, r)
	answer := recorder.Result()
	if i.cut >= 0 && r.Method == http.MethodGet {
		answer.Body = io.NopCloser(io.MultiReader(io.LimitReader(answer.Body, i.cut), &broken{i.die}))
	}
	return answer, nil
}

// broken is a connection whose process ends with it.
type broken struct{ die func() }

func (b *broken) Read([]byte) (int, error) {
	b.die()
	return 0, errors.New("connection reset by peer")
}

// A download that is cut off behind any byte of a bundle, none and all of them
// included, is continued by another process, and what comes of it is the bundle.
func TestEveryCut(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Sealed(t, "acme", 1)
	token := w.Token(t, "acme")
	trust := verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}
	process := func(have []byte, cut int64) ([]byte, error) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c, err := client.New("http://inside", token, client.HTTP(&http.Client{Transport: &inside{handler: w.Server, cut: cut, die: cancel}}))
		if err != nil {
			return nil, err
		}
		var rest bytes.Buffer
		rest.Grow(len(archive))
		result, err := c.Resume(ctx, run.ID, bytes.NewReader(have), &rest)
		if err == nil && result.Digest != run.Result.ArchiveDigest {
			err = fmt.Errorf("digest %s", result.Digest)
		}
		return append(bytes.Clone(have), rest.Bytes()...), err
	}
	require.Less(t, len(archive), 64<<10, "a small one")
	const workers = 2
	var all sync.WaitGroup
	for first := range workers {
		all.Go(func() {
			for at := first; at <= len(archive); at += workers {
				had := archive[:at]
				if at%bundle.BlockSize < 8 || at == len(archive) { // it breaks off there, and not beside it
					var err error
					if had, err = process(nil, int64(at)); len(had) != at || err == nil && at < len(archive) {
						t.Errorf("cut at %d: %d bytes, %v", at, len(had), err)
						return
					}
				}
				if got, err := process(had, -1); err != nil || !bytes.Equal(archive, got) {
					t.Errorf("cut at %d: %d bytes, %v", at, len(got), err)
					return
				}
			}
		})
	}
	all.Wait()
	report, err := verify.Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)), trust)
	require.NoError(t, err)
	require.Equal(t, verify.StatusVerified, report.Status)
}

// An upload from a stream holds what is under way in memory, and no more of it.
func TestImportNDJSONInBoundedMemory(t *testing.T) {
	const size, most = 96 << 20, 40 << 20
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines := 0
		buffer := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(buffer)
			lines += bytes.Count(buffer[:n], []byte("\n"))
			if err != nil {
				break
			}
		}
		fmt.Fprintf(w, `{"summary":{"read":%d,"accepted":%d}}`+"\n", lines, lines)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, "token")
	require.NoError(t, err)
	line := append(bytes.Repeat([]byte("a"), 4095), '\n')
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	read, highest := 0, uint64(0)
	from := readerFunc(func(p []byte) (int, error) {
		if read == size {
			return 0, io.EOF
		}
		if read%(8<<20) == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			highest = max(highest, now.HeapAlloc)
		}
		n := copy(p, line[read%len(line):])
		read += n
		return n, nil
	})
	settled, err := c.ImportNDJSON(t.Context(), from, client.ImportRecord{}, client.Import{})
	require.NoError(t, err)
	require.EqualValues(t, size/len(line), settled.Summary.Accepted)
	require.Less(t, highest, before.HeapAlloc+most)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
