package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"time"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/clock"
)

// firstByteRequests is how often a download is begun.
const firstByteRequests = 50

// firstByte measures how long a download takes to begin, beside a bare file
// server of this process with the same bytes.
func (b *bench) firstByte(ctx context.Context) error {
	file, err := serveFile(b.archive)
	if err != nil {
		return err
	}
	defer file.stop()
	info, err := os.Stat(b.archive)
	if err != nil {
		return err
	}
	begin := &beginner{now: b.now, size: info.Size(), http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	var took, floors []time.Duration
	m, err := b.measured(ctx, "api", func() (used, error) {
		for range firstByteRequests {
			floor, err := begin.download(ctx, file.url, "")
			if err != nil {
				return used{}, fmt.Errorf("bare handler: %w", err)
			}
			ours, err := client.NewDownloadRunRequest(b.house.env["STELLA_SERVER"], b.first.id, nil)
			if err != nil {
				return used{}, err
			}
			first, err := begin.download(ctx, ours.URL.String(), b.house.env["STELLA_TOKEN"])
			if err != nil {
				return used{}, err
			}
			floors, took = append(floors, floor), append(took, first)
		}
		return used{}, nil
	})
	if err != nil {
		return err
	}
	b.note("download, first byte: the first request of all took %.2f ms, the bare handler's %.2f ms",
		1e3*took[0].Seconds(), 1e3*floors[0].Seconds())
	m.wall = *median(took)
	b.add(measuredRow("download, first byte", m).beside(median(floors)))
	return nil
}

// beginner begins downloads of a known size.
type beginner struct {
	http *http.Client
	now  clock.Clock
	size int64
}

// download asks for everything, takes one byte and hangs up. The time goes
// from the moment the connection is there to the first byte of the body: a new
// connection each time, whose making would hide a slow server behind the same
// constant on both sides.
func (b *beginner) download(ctx context.Context, url, token string) (time.Duration, error) {
	var connected time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = b.now() }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		return 0, fmt.Errorf("read the first byte: %w", err)
	}
	took := b.now().Sub(connected)
	if resp.StatusCode != http.StatusOK || resp.ContentLength != b.size {
		return 0, fmt.Errorf("the answer has status %d and %d bytes, not 200 and %d", resp.StatusCode, resp.ContentLength, b.size)
	}
	return took, nil
}

// fileServer is the bare handler: http.ServeContent over a file, on loopback.
type fileServer struct {
	url    string
	server *http.Server
}

func serveFile(path string) (*fileServer, error) {
	return serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, err := os.Open(path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer file.Close()
		w.Header().Set("Content-Type", "application/x-tar") // or it would read to find out
		http.ServeContent(w, r, "", time.Time{}, file)
	}))
}

// serve serves handler on loopback.
func serve(handler http.Handler) (*fileServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "bench: bare handler:", err)
		}
	}()
	return &fileServer{url: "http://" + listener.Addr().String() + "/", server: server}, nil
}

func (s *fileServer) stop() { s.server.Close() } //nolint:errcheck // nobody reads from it any more
