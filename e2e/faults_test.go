package e2e

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
)

// What faults of the surroundings (network, disk) have in common: runs that have
// a twin, and what must hold once a fault is over.

// healthyWithin is how soon after a fault the service must be healthy.
const healthyWithin = 30 * time.Second

// promise is a run that was asked for under a key, as often as it took to hear
// of it.
type promise struct {
	key string
	of  selection
	run client.Run // without id until it is acknowledged
}

// selection is what a run selects. Runs of the same one have the same twin.
type selection string // an ecosystem, "" = everything

func (s selection) request() client.RunRequest {
	request := client.RunRequest{ProfileID: "json:raw"}
	if s != "" {
		request.Selectors.Ecosystems = []string{string(s)}
	}
	return request
}

// ask asks once for the run of a promise; it is safe to ask again.
func (h *house) askFor(t testing.TB, p *promise, patience time.Duration) error {
	t.Helper()
	c, err := client.New(h.env["STELLA_SERVER"], h.env["STELLA_TOKEN"], client.HTTP(&http.Client{Timeout: patience}))
	require.NoError(t, err)
	run, err := c.CreateRun(t.Context(), p.of.request(), p.key)
	if err == nil {
		p.run = run
	}
	return err
}

// waitServing waits until the service is ready.
func (h *house) waitServing(t testing.TB, patience time.Duration) {
	t.Helper()
	serving := http.Client{Timeout: 5 * time.Second}
	last := "nothing"
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		answer, err := serving.Get(h.env["STELLA_SERVER"] + "/health/ready")
		if err != nil {
			last = err.Error()
			continue
		}
		answer.Body.Close()
		if last = answer.Status; answer.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatalf("not ready %s after the fault: %s\n%s", patience, last, h.tail())
}

// endOf waits for the end of a run, past a service that comes back meanwhile.
func (h *house) endOf(t testing.TB, p promise, patience time.Duration) client.Run {
	t.Helper()
	c, err := client.New(h.env["STELLA_SERVER"], h.env["STELLA_TOKEN"])
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	run, err := c.WaitRun(ctx, p.run.RunID, nil)
	require.NoError(t, err, "run %s (%q) is stuck: %s\n%s", p.run.RunID, p.of, run.Status, h.tail())
	return run
}
