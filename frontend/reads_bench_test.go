package frontend_test

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/signing/dpop"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// BenchmarkReads is GET of a run by sixteen clients at once, with a bound token and a
// proof each that was made before. `make bench` has the figure across processes,
// beside a bare handler.
func BenchmarkReads(b *testing.B) {
	db := pgtest.New(b)
	w := onPostgres(b, db, frontend.Rates{PerSecond: 1e6, Burst: 1e6, AtOnce: 100, InAll: 100}, storage.Limits{Pending: 1e6})
	l := newLoader(b, w, "acme")
	_, body := l.call("POST", runsPath, anyRun)
	var run frontend.Run
	require.NoError(b, json.Unmarshal(body, &run))
	address := w.URL + runsPath + "/" + run.RunID
	proofs := make([]string, b.N)
	for i := range proofs {
		var err error
		proofs[i], err = l.key.Proof(dpop.Claims{Method: http.MethodGet, Address: address, Token: l.token, Now: time.Now()})
		require.NoError(b, err)
	}
	var next atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for range 16 {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				readOne(b, l, address, proofs[i])
			}
		})
	}
	all.Wait()
}

func readOne(b *testing.B, l *loader, address, proof string) {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	require.NoError(b, err)
	req.Header.Set("Authorization", "DPoP "+l.token)
	req.Header.Set("DPoP", proof)
	resp, err := l.http.Do(req)
	require.NoError(b, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(b, err)
	require.Equal(b, http.StatusOK, resp.StatusCode)
}
