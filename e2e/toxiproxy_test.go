package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
)

// proxies is a running toxiproxy, a program of its own: its modules stay out of
// ours. It listens on loopback and ends with the test.
type proxies struct{ url string }

// toxic is one disturbance of a link, in toxiproxy's words. Stream is upstream
// (from us to the server) or downstream.
type toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Attributes map[string]int `json:"attributes"`
}

func startProxies(t testing.TB) *proxies {
	t.Helper()
	path := testkit.Tool(t, "toxiproxy")
	address := freeAddress(t)
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	var said bytes.Buffer
	cmd := exec.Command(path, "-host", host, "-port", port)
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // only fails when it is gone
		cmd.Wait()         //nolint:errcheck // it was killed
	})
	p := &proxies{url: "http://" + address}
	require.Eventually(t, func() bool {
		answer, err := http.Get(p.url + "/version")
		if err == nil {
			answer.Body.Close()
		}
		return err == nil && answer.StatusCode == http.StatusOK
	}, 10*time.Second, 20*time.Millisecond, "toxiproxy does not answer")
	return p
}

// link makes a proxy in front of a server and gives its address.
func (p *proxies) link(t testing.TB, name, server string) string {
	t.Helper()
	var made struct{ Listen string }
	p.must(t, "POST", "/proxies", map[string]any{"name": name, "listen": "127.0.0.1:0", "upstream": server, "enabled": true}, &made)
	return made.Listen
}

// disturb begins a fault on a link and gives what ends it.
func (p *proxies) disturb(t testing.TB, link string, toxics []toxic) (heal func()) {
	t.Helper()
	if len(toxics) == 0 { // the link is cut
		p.must(t, "POST", "/proxies/"+link, map[string]any{"enabled": false}, nil)
		return func() { p.must(t, "POST", "/proxies/"+link, map[string]any{"enabled": true}, nil) }
	}
	var names []string
	for _, toxic := range toxics {
		var made struct{ Name string }
		p.must(t, "POST", "/proxies/"+link+"/toxics", toxic, &made)
		names = append(names, made.Name)
	}
	return func() {
		for _, name := range names {
			p.must(t, "DELETE", "/proxies/"+link+"/toxics/"+name, nil, nil)
		}
	}
}

func (p *proxies) must(t testing.TB, method, path string, body, into any) {
	t.Helper()
	var sent bytes.Buffer
	if body != nil {
		require.NoError(t, json.NewEncoder(&sent).Encode(body))
	}
	request, err := http.NewRequestWithContext(t.Context(), method, p.url+path, &sent)
	require.NoError(t, err)
	client := http.Client{Timeout: 30 * time.Second}
	answer, err := client.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Less(t, answer.StatusCode, 300, "toxiproxy: %s %s: %s", method, path, raw)
	if into != nil {
		require.NoError(t, json.Unmarshal(raw, into))
	}
}
