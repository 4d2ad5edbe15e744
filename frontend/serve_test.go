package frontend_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// Stopping lets a request that is under way finish.
func TestServeDrains(t *testing.T) {
	w := frontendtest.New(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Server.Serve(ctx, ln) }()

	body, send := io.Pipe()
	req, err := http.NewRequest("POST", "http://"+ln.Addr().String()+documentsPath, body)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+w.Token(t, "acme"))
	req.Header.Set("Content-Type", "application/x-ndjson")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	go io.WriteString(send, record(`{"id":"A"}`))
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	stop()
	time.Sleep(50 * time.Millisecond)
	_, err = net.Dial("tcp", ln.Addr().String())
	require.Error(t, err, "no new connections")
	io.WriteString(send, record(`{"id":"B"}`))
	send.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(answer), `"accepted":2`)
	require.NoError(t, <-ended)
	require.Equal(t, 503, newCaller(t, w, "acme").send("GET", "/health/ready", "").Status)
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	_, err := frontend.New(frontend.Config{})
	require.ErrorContains(t, err, "Runs is not set")
}
