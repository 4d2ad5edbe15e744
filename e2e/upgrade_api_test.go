package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/config"
)

// previousAPI lets the previous release's api serve beside ours, with our
// workers, as in the middle of an upgrade: what is created, asked again and
// cancelled through the one is the same through the other.
func (u *upgrade) previousAPI(t *testing.T) {
	t.Helper()
	ctx, began := t.Context(), time.Now()
	l := u.storm.lane(t, u.storm.small)
	server, stop := u.servePrevious(t)
	theirs, err := client.New(server, u.house.tokenFor(t, l.tenant))
	require.NoError(t, err)
	require.NoError(t, l.gate.close(ctx, l.tenant, "begin adapt"))

	cases := []struct {
		name                   string
		creates, asks, cancels *client.Client // cancels: nil = nobody
		run                    client.Run
		answer                 answer
	}{
		{name: "created and cancelled there", creates: theirs, asks: l.client, cancels: theirs},
		{name: "created there, cancelled here", creates: theirs, asks: l.client, cancels: l.client},
		{name: "created here, cancelled there", creates: l.client, asks: theirs, cancels: theirs},
		{name: "created there", creates: theirs, asks: l.client},
	}
	request := client.RunRequest{ProfileID: "json:raw"}
	for i := range cases {
		c := &cases[i]
		c.run, err = c.creates.CreateRun(ctx, request, fmt.Sprintf("key-%d", i))
		require.NoError(t, err, c.name)
		again, err := c.asks.CreateRun(ctx, request, fmt.Sprintf("key-%d", i))
		require.NoError(t, err, c.name)
		require.Equal(t, c.run.RunID, again.RunID, "%s: a key makes one run", c.name)
	}
	require.NoError(t, l.gate.await(ctx, atTheGate, len(cases)), u.house.tail())
	u.sameThere(t, l, theirs, cases[3].run.RunID)

	var answers sync.WaitGroup // each waits until its run, which holds its own row, goes on
	for i := range cases {
		if c := &cases[i]; c.cancels != nil {
			c.answer.reason = c.name
			answers.Go(func() { c.answer.run, c.answer.err = c.cancels.CancelRun(ctx, c.run.RunID, c.name) })
		}
	}
	require.NoError(t, l.gate.await(ctx, behindIt, len(cases)-1))
	require.NoError(t, l.gate.open(ctx, l.tenant))
	answers.Wait()
	for i := range cases {
		c := &cases[i]
		if c.cancels == nil {
			run, err := theirs.WaitRun(ctx, c.run.RunID, nil)
			require.NoError(t, err, c.name)
			require.Equal(t, client.RunStatusSucceeded, run.Status, "%s: %+v", c.name, run.Error)
			require.Equal(t, l.twin, run.PayloadDigest, c.name)
		} else {
			status, err := l.judge(ctx, c.run.RunID, strike{phase: export.PhaseAdapt, point: "begin adapt", way: fromAPI}, []answer{c.answer})
			require.NoError(t, err, "%s\n%s", c.name, u.house.tail())
			require.Equal(t, client.RunStatusAborted, status, c.name)
		}
		u.sameThere(t, l, theirs, c.run.RunID)
	}
	u.downloadsThere(t, l, server, cases[3].run.RunID)
	stop()
	t.Logf("the previous release's api beside ours: %d runs; %s", len(cases), time.Since(began).Round(time.Millisecond))
}

// servePrevious starts the previous release's api and gives its address.
func (u *upgrade) servePrevious(t *testing.T) (server string, stop func()) {
	t.Helper()
	cfg, err := config.Load(filepath.Join(u.house.dir, "config.yaml"))
	require.NoError(t, err)
	cfg.Listen = freeAddress(t)
	cfg.PublicURL = "http://" + cfg.Listen
	path := filepath.Join(u.house.dir, "previous.yaml")
	require.NoError(t, cfg.Write(path))
	api := u.run(t, previous, "api", "--config", path)
	stop = func() {
		require.NoError(t, api.Process.Signal(syscall.SIGTERM))
		require.NoError(t, api.Wait())
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if answer, err := http.Get(cfg.PublicURL + "/health/ready"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return cfg.PublicURL, stop
			}
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(api.Stderr.(*os.File).Name())
			t.Fatalf("the previous release's api does not serve:\n%s", said)
		}
	}
}

// sameThere compares what both say about a run that does not move.
func (u *upgrade) sameThere(t *testing.T, l *lane, theirs *client.Client, runID string) {
	t.Helper()
	here, err := l.client.GetRun(t.Context(), runID)
	require.NoError(t, err)
	there, err := theirs.GetRun(t.Context(), runID)
	require.NoError(t, err)
	if there.Links.Events == "" { // an address that the previous release does not have
		here.Links.Events = ""
	}
	if there.Links.Plan == "" {
		here.Links.Plan = ""
	}
	if beforeMirrors(t) { // it does not have this member
		require.Zero(t, there.AsOf)
		here.AsOf = 0
	}
	require.Equal(t, here, there)
}

// beforeMirrors tells whether the previous release has no mirrors yet.
func beforeMirrors(t *testing.T) bool {
	t.Helper()
	commit := cmp.Or(os.Getenv("PREVIOUS"), previousRelease)
	return exec.Command("git", "-C", repository, "cat-file", "-e", commit+":mirror/apply.go").Run() != nil
}

// downloadsThere downloads a run through the previous release's api and verifies it.
func (u *upgrade) downloadsThere(t *testing.T, l *lane, server, runID string) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "bundle.tar")
	download := u.house.commandAs(t, u.house.tokenFor(t, l.tenant), "export", "download", runID, "--output", archive)
	download.Env = append(download.Env, "STELLA_SERVER="+server)
	out, err := download.CombinedOutput()
	require.NoError(t, err, "%s", out)
	_, code := u.house.stella(t, "verify", archive, "--trust", u.house.env["STELLA_TRUST"])
	require.Zero(t, code)
}
