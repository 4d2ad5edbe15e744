package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/client"
)

const (
	// downloadsAtOnce is how many clients download the same bundle.
	downloadsAtOnce = 16
	// downloadRounds is how often they do, and the floor's clients; by turns.
	downloadRounds = 3
)

// downloads measures many downloads of the first run's bundle at once, beside as
// many from http.FileServer over the same bytes. That server knows nothing of what
// it sends, and hands a file to the kernel; ours compares every byte with its digest.
func (b *bench) downloads(ctx context.Context) error {
	return b.downloadsOf(ctx, "16 downloads at once", b.first.id, b.archive, b.house.env["STELLA_TOKEN"])
}

// downloadsOf measures them of a run whose bundle is in archive, for a tenant's token.
func (b *bench) downloadsOf(ctx context.Context, name, run, archive, token string) (err error) {
	info, err := os.Stat(archive)
	if err != nil {
		return err
	}
	floor, err := b.apart(ctx, bareFiles, filepath.Dir(archive))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	ours, err := client.NewDownloadRunRequest(b.house.env["STELLA_SERVER"], run, nil)
	if err != nil {
		return err
	}
	var took, floors []time.Duration
	m, err := b.measured(ctx, "api", func() (used, error) {
		for range downloadRounds {
			bare, err := b.together(ctx, floor.url+filepath.Base(archive), "", info.Size())
			if err != nil {
				return used{}, fmt.Errorf("file server: %w", err)
			}
			wall, err := b.together(ctx, ours.URL.String(), token, info.Size())
			if err != nil {
				return used{}, err
			}
			floors, took = append(floors, bare), append(took, wall)
		}
		return used{}, nil
	})
	if err != nil {
		return err
	}
	m.wall = *median(took)
	all := float64(downloadsAtOnce*info.Size()) / 1e6
	b.note("%d downloads at once of %.1f MB: %.0f MB/s, http.FileServer %.0f MB/s (%.2fx); processor time and memory are of %d rounds of both",
		downloadsAtOnce, float64(info.Size())/1e6, all/m.wall.Seconds(), all/median(floors).Seconds(), median(floors).Seconds()/m.wall.Seconds(), downloadRounds)
	b.add(measuredRow(name, m).beside(median(floors)))
	return nil
}

// together downloads url with many clients at once and gives the time until the last
// has everything.
func (b *bench) together(ctx context.Context, url, token string, size int64) (time.Duration, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	clients := &http.Client{Transport: transport}
	failures := make([]error, downloadsAtOnce)
	var all sync.WaitGroup
	began := b.now()
	for i := range failures {
		all.Go(func() { failures[i] = fetchAll(ctx, clients, url, token, size) })
	}
	all.Wait()
	return b.now().Sub(began), errors.Join(failures...)
}

// fetchAll reads an answer of size bytes to its end.
func fetchAll(ctx context.Context, clients *http.Client, url, token string, size int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := clients.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, 64<<10))
	if err != nil || resp.StatusCode != http.StatusOK || n != size {
		return fmt.Errorf("the answer has status %d and %d bytes, not 200 and %d: %w", resp.StatusCode, n, size, err)
	}
	return nil
}
