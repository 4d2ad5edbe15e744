package frontend_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/detect"
	"github.com/stella-ops/exportcenter/ledger/osv"
)

// checkingLedger does what a store does before it records, and records nothing.
type checkingLedger struct{ frontend.Ledger }

func (checkingLedger) Import(_ context.Context, _ string, batch []ledger.Observation) (ledger.Counts, error) {
	for i := range batch {
		if err := batch[i].Validate(); err != nil {
			return ledger.Counts{}, err
		}
	}
	return ledger.Counts{Read: int64(len(batch)), Accepted: int64(len(batch))}, nil
}

// BenchmarkImport is the api's part of an import of real advisories, without
// network and database. cpu-us/doc is the processor time of the whole process.
func BenchmarkImport(b *testing.B) {
	documents := testkit.RealAdvisories(b)
	w := frontendtest.New(b, func(c *frontend.Config) {
		c.Ledger = checkingLedger{}
		c.Log = slog.New(slog.DiscardHandler)
		c.Parse = detect.Reader(detect.Format{Name: osv.Format, Recognise: osv.Recognise, Parse: osv.Parse})
	})
	token := w.Token(b, "acme")
	b.Run("ndjson", func(b *testing.B) {
		benchmarkImport(b, w, token, ndjsonOf(documents), "application/x-ndjson", len(documents))
	})
	b.Run("tar", func(b *testing.B) {
		benchmarkImport(b, w, token, tarOf(b, documents), "application/x-tar", len(documents))
	})
}

func ndjsonOf(documents [][]byte) []byte {
	var body bytes.Buffer
	for i := range documents {
		body.WriteString(`{"source":"osv","stream":"npm","file":"f.jsonl","entry":"line 1","mediaType":"application/json","bytes":"`)
		body.WriteString(base64.StdEncoding.EncodeToString(documents[i]))
		body.WriteString("\"}\n")
	}
	return body.Bytes()
}

func tarOf(b *testing.B, documents [][]byte) []byte {
	var body bytes.Buffer
	w := tar.NewWriter(&body)
	for i, d := range documents {
		require.NoError(b, w.WriteHeader(&tar.Header{Name: fmt.Sprintf("f/%d.json", i), Size: int64(len(d)), Typeflag: tar.TypeReg}))
		_, err := w.Write(d)
		require.NoError(b, err)
	}
	require.NoError(b, w.Close())
	return body.Bytes()
}

func benchmarkImport(b *testing.B, w *frontendtest.World, token string, body []byte, mediaType string, documents int) {
	before := processorTime(b)
	for b.Loop() {
		req := httptest.NewRequest("POST", documentsPath, bytes.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", mediaType)
		answer := httptest.NewRecorder()
		w.Server.ServeHTTP(answer, req)
		require.Equal(b, 200, answer.Code)
		require.Contains(b, answer.Body.String(), `"summary"`)
	}
	perDoc := func(us float64) float64 { return us / float64(b.N*documents) }
	b.ReportMetric(perDoc(float64(processorTime(b)-before)), "cpu-us/doc")
	b.ReportMetric(perDoc(float64(b.Elapsed().Microseconds())), "us/doc")
}

func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Sec*1e6 + u.Utime.Usec + u.Stime.Sec*1e6 + u.Stime.Usec
}
