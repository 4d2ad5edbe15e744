package frontend_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// BenchmarkFirstByte is the time from a request to the first byte of a bundle,
// beside a bare http.ServeContent over a file of the same bytes: from the beginning,
// and from the middle, where a whole blob must be compared first. Tokens, rows and
// blobs cost what they do in production. Client and server share the processors;
// `make bench` has the figure across processes.
func BenchmarkFirstByte(b *testing.B) {
	for _, bundle := range []struct {
		name  string
		sizes []int
	}{
		{"32 MB in 205 files", slices.Repeat([]int{160_000}, 200)},
		{"small", []int{20_000}},
		{"1600 files", slices.Repeat([]int{2_000}, 1600)},
	} {
		b.Run(bundle.name, func(b *testing.B) { benchmarkFirstByte(b, bundle.sizes) })
	}
}

func benchmarkFirstByte(b *testing.B, sizes []int) {
	db := pgtest.New(b)
	s := newShelfWith(b, func(c *frontend.Config) { c.Runs = postgres.NewRuns(db.DB) }, sizes...)
	s.record(b, db)
	path := filepath.Join(b.TempDir(), "archive.tar")
	require.NoError(b, os.WriteFile(path, s.archive, 0o600))
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, err := os.Open(path)
		if err != nil {
			panic(err)
		}
		defer file.Close()
		http.ServeContent(w, r, "", time.Time{}, file)
	}))
	b.Cleanup(bare.Close)
	ours := s.URL + runsPath + "/" + s.run.ID + "/download"
	middle := fmt.Sprintf("bytes=%d-%d", len(s.archive)/2, len(s.archive)/2+999)
	for _, c := range []struct{ name, url, ask string }{
		{"bare", bare.URL, ""}, {"archive", ours, ""}, {"bare, middle", bare.URL, middle}, {"archive, middle", ours, middle},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				took = append(took, firstByte(b, s, c.url, c.ask))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// record puts the shelf's run and its files into a database, as if it had run there.
func (s *shelf) record(t testing.TB, db *pgtest.Database) {
	_, _, err := postgres.NewRuns(db.DB).CreateRun(t.Context(), s.run, storage.Idempotency{})
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), db.Admin)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // test connection
	tag, err := conn.Exec(t.Context(), `update export_runs set status = 'succeeded', started_at = requested_at, completed_at = requested_at,
		archive_digest = $3, archive_bytes = $4 where tenant = $1 and id = $2`,
		s.run.Tenant, s.run.ID, s.run.Result.ArchiveDigest, s.run.Result.ArchiveBytes)
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected())
	_, err = conn.CopyFrom(t.Context(), pgx.Identifier{"export_files"},
		[]string{"tenant", "project", "run_id", "path", "digest", "size", "records", "content_digest", "content_size", "payload"},
		pgx.CopyFromSlice(len(s.files), func(i int) ([]any, error) {
			f := s.files[i]
			return []any{s.run.Tenant, "_", s.run.ID, f.Path, f.Digest[:], f.Size, f.Records, f.ContentDigest[:], f.ContentSize, f.Payload}, nil
		}))
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "analyze export_files, export_runs")
	require.NoError(t, err)
}

// firstByte asks for the bytes and goes away after the first.
func firstByte(b *testing.B, s *shelf, url, ask string) time.Duration {
	req, err := http.NewRequest("GET", url, nil)
	require.NoError(b, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	if ask != "" {
		req.Header.Set("Range", ask)
	}
	began := time.Now()
	resp, err := s.client.Do(req)
	require.NoError(b, err)
	_, err = io.ReadFull(resp.Body, make([]byte, 1))
	took := time.Since(began)
	require.NoError(b, err)
	resp.Body.Close()
	time.Sleep(5 * time.Millisecond) // until the server has seen it: what it sends to nobody is not the next one's time
	return took
}
