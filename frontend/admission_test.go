package frontend_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// A tenant that calls too often is told when to come again, and nobody else is.
func TestCallsPerSecond(t *testing.T) {
	w := frontendtest.New(t, func(c *frontend.Config) { c.Rates = frontend.Rates{PerSecond: 2, Burst: 3} })
	noisy, quiet := newCaller(t, w, "noisy"), newCaller(t, w, "quiet")
	for range 3 {
		require.Equal(t, 200, noisy.send("GET", runsPath, "").Status)
	}
	refused := noisy.send("GET", runsPath, "")
	require.Equal(t, 429, refused.Status)
	require.Equal(t, "ERR_EXPORT_QUOTA", refused.problem(t).Code)
	require.Equal(t, "1", refused.Header.Get("Retry-After"))
	require.Equal(t, "2", refused.Header.Get("X-Stella-Quota-Limit"))
	require.Equal(t, "0", refused.Header.Get("X-Stella-Quota-Remaining"))
	require.Equal(t, strconv.FormatInt(frontendtest.Start.Add(time.Second).Unix(), 10), refused.Header.Get("X-Stella-Quota-Reset"))
	require.Equal(t, 429, noisy.send("POST", runsPath, `{"profileId":"json:raw"}`).Status)
	require.Empty(t, entriesOf(t, w, "noisy"), "a flood does not fill the record")
	require.Equal(t, 200, quiet.send("GET", runsPath, "").Status)
	require.Equal(t, 404, quiet.send("GET", "/api/nothing", "").Status)

	w.SetTime(frontendtest.Start.Add(500 * time.Millisecond))
	require.Equal(t, 200, noisy.send("GET", runsPath, "").Status, "half a second later there is room for one")
	require.Equal(t, 429, noisy.send("GET", runsPath, "").Status)
}

// standing stands still when a run starts.
type standing struct{ begun, hold chan struct{} }

func (s standing) StartRun(context.Context, export.Run) error {
	s.begun <- struct{}{}
	<-s.hold
	return nil
}

func (s standing) CancelRun(context.Context, export.Ref) error { return nil }
func (s standing) DecideRun(context.Context, export.Ref) error { return nil }

// held is a world whose POST runs stand still until they are let go.
func held(t *testing.T, rates frontend.Rates) (w *frontendtest.World, start func(tenant string), finish func()) {
	begun, hold := make(chan struct{}), make(chan struct{})
	w = frontendtest.New(t, func(c *frontend.Config) { c.Rates, c.Starter = rates, standing{begun, hold} })
	var group sync.WaitGroup
	start = func(tenant string) {
		group.Go(func() {
			if a := newCaller(t, w, tenant).send("POST", runsPath, `{"profileId":"json:raw"}`); a.Status != 202 {
				t.Errorf("status %d", a.Status)
			}
		})
		<-begun
	}
	return w, start, func() { close(hold); group.Wait() }
}

func TestCallsAtOnce(t *testing.T) {
	w, start, finish := held(t, frontend.Rates{AtOnce: 2})
	start("noisy")
	start("noisy")
	refused := newCaller(t, w, "noisy").send("GET", runsPath, "")
	require.Equal(t, 429, refused.Status)
	require.Equal(t, "2", refused.Header.Get("X-Stella-Quota-Limit"))
	require.Equal(t, 200, newCaller(t, w, "quiet").send("GET", runsPath, "").Status)
	run, _ := w.Finish(t, w.Run("noisy", export.StateRunning))
	require.Equal(t, 200, newCaller(t, w, "noisy").send("GET", runsPath+"/"+run.ID+"/download", "").Status, "streams are counted by themselves")
	finish()
	require.Equal(t, 200, newCaller(t, w, "noisy").send("GET", runsPath, "").Status)
}

// Downloads and imports have places of their own.
func TestStreamsAtOnce(t *testing.T) {
	w := frontendtest.New(t, func(c *frontend.Config) { c.Rates = frontend.Rates{Streams: 2} })
	var bodies []*io.PipeWriter
	defer func() {
		for _, b := range bodies {
			b.Close()
		}
	}()
	for range 2 { // imports that do not end
		in, out := io.Pipe()
		bodies = append(bodies, out)
		req, err := http.NewRequest("POST", w.URL+"/api/ledger/documents", in)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+w.Token(t, "noisy"))
		req.Header.Set("Content-Type", "application/x-ndjson")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, 200, resp.StatusCode)
	}
	run, _ := w.Finish(t, w.Run("noisy", export.StateRunning))
	refused := newCaller(t, w, "noisy").send("GET", runsPath+"/"+run.ID+"/download", "")
	require.Equal(t, 429, refused.Status)
	require.Equal(t, "2", refused.Header.Get("X-Stella-Quota-Limit"))
	require.Equal(t, 200, newCaller(t, w, "noisy").send("GET", runsPath, "").Status)
	theirs, _ := w.Finish(t, w.Run("quiet", export.StateRunning))
	require.Equal(t, 200, newCaller(t, w, "quiet").send("GET", runsPath+"/"+theirs.ID+"/download", "").Status)
}

// When all places are taken, whoever has more than a fair share waits, and whoever
// has less does not.
func TestAFullServiceIsShared(t *testing.T) {
	w, start, finish := held(t, frontend.Rates{AtOnce: 10, InAll: 4})
	for range 4 {
		start("noisy")
	}
	refused := newCaller(t, w, "noisy").send("GET", runsPath, "")
	require.Equal(t, 429, refused.Status)
	require.Equal(t, "4", refused.Header.Get("X-Stella-Quota-Limit"))
	start("quiet")
	start("quiet")
	require.Equal(t, 429, newCaller(t, w, "quiet").send("GET", runsPath, "").Status, "it has its half")
	require.Equal(t, 200, newCaller(t, w, "third").send("GET", runsPath, "").Status)
	finish()
	require.Equal(t, 200, newCaller(t, w, "quiet").send("GET", runsPath, "").Status)
}

// Many tenants with one call each are too many in the end.
func TestAServiceIsFullAtLast(t *testing.T) {
	w, start, finish := held(t, frontend.Rates{AtOnce: 10, InAll: 2})
	for n := range 8 {
		start(fmt.Sprintf("tenant-%d", n))
	}
	refused := newCaller(t, w, "late").send("GET", runsPath, "")
	require.Equal(t, 429, refused.Status)
	require.Equal(t, "2", refused.Header.Get("X-Stella-Quota-Limit"))
	require.Contains(t, refused.problem(t).Message, "busy with 8 calls")
	finish()
	require.Equal(t, 200, newCaller(t, w, "late").send("GET", runsPath, "").Status)
}
