package e2e

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// downloads are checks of a finished run that is served from real files; archive
// is what `stella` downloaded and verified.
func (h *house) downloads(t *testing.T, runID, archive string) {
	want, err := os.ReadFile(archive)
	require.NoError(t, err)
	t.Run("a thousand ranges at once", func(t *testing.T) { h.thousandRanges(t, runID, want) })
	t.Run("a rotten blob is not delivered", func(t *testing.T) { h.rotIsSeen(t, runID) })
}

// thousandRanges asks for 1,000 ranges of the archive at once and holds each to
// what was verified, and the API to its bound of memory.
func (h *house) thousandRanges(t *testing.T, runID string, want []byte) {
	api := h.child(" api ")
	require.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", api), []byte("5"), 0))
	idle := memory(api, "VmRSS")
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1000}}
	defer client.CloseIdleConnections()
	var group errgroup.Group
	for n := range 1000 {
		group.Go(func() error {
			random := rand.New(rand.NewPCG(uint64(n), 1))
			length := random.IntN(50_000) + 1
			from := random.IntN(len(want) - length)
			request, err := http.NewRequest(http.MethodGet, h.env["STELLA_SERVER"]+"/api/export/runs/"+runID+"/download", nil)
			if err != nil {
				return err
			}
			request.Header.Set("Authorization", "Bearer "+h.env["STELLA_TOKEN"])
			request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, from+length-1))
			answer, err := client.Do(request)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			got, err := io.ReadAll(answer.Body)
			if err == nil && (answer.StatusCode != http.StatusPartialContent || string(got) != string(want[from:from+length])) {
				err = fmt.Errorf("status %d and %d bytes that are not those at %d: %.200q", answer.StatusCode, len(got), from, got)
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
	grown := memory(api, "VmHWM") - idle
	t.Logf("above idle: api %d MiB", grown>>20)
	require.LessOrEqual(t, grown, int64(maxGrowth))
}

// rotIsSeen changes one bit in the greatest blob on disk.
func (h *house) rotIsSeen(t *testing.T, runID string) {
	var victim string
	var size int64
	require.NoError(t, filepath.WalkDir(filepath.Join(h.dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			victim, size = path, info.Size()
		}
		return err
	}))
	require.NotEmpty(t, victim)
	content, err := os.ReadFile(victim)
	require.NoError(t, err)
	content[size/2] ^= 1
	require.NoError(t, os.WriteFile(victim, content, 0o600))

	target := filepath.Join(t.TempDir(), "rotten.tar")
	_, code := h.stella(t, "export", "download", runID, "--output", target)
	require.Equal(t, 1, code)
	require.NoFileExists(t, target)
	log, err := os.ReadFile(filepath.Join(h.dir, "logs", "api.log"))
	require.NoError(t, err)
	require.True(t, strings.Contains(string(log), "stored bytes are wrong") && strings.Contains(string(log), filepath.Base(victim)),
		"the log names the blob")

	content[size/2] ^= 1
	require.NoError(t, os.WriteFile(victim, content, 0o600))
	_, code = h.stella(t, "export", "download", runID, "--output", target)
	require.Zero(t, code, "once the blob is right again, the same command goes on")
	_, code = h.stella(t, "verify", target, "--trust", h.env["STELLA_TRUST"])
	require.Zero(t, code)
}
