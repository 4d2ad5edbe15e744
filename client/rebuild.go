package client

import (
	"context"
	"fmt"
	"net/http"
)

// RebuildRun asks for a run that builds run id again and compares every byte; what came
// of it is in the Rebuilt of that run once it has ended. With an idempotency key, chosen
// freely, the call is repeated when the answer is lost, and makes one run only.
func (c *Client) RebuildRun(ctx context.Context, id, idempotencyKey string) (Run, error) {
	params := &RebuildRunParams{}
	if idempotencyKey == "" {
		return c.rebuildRun(ctx, id, params)
	}
	params.IdempotencyKey = &idempotencyKey
	return repeated(ctx, func() (Run, error) { return c.rebuildRun(ctx, id, params) })
}

func (c *Client) rebuildRun(ctx context.Context, id string, params *RebuildRunParams) (Run, error) {
	var run Run
	resp, err := c.api.RebuildRun(ctx, id, params)
	if resp, err = expect(resp, err, http.StatusAccepted); err != nil {
		return run, fmt.Errorf("rebuild run %s: %w", id, err)
	}
	return run, decode(resp, &run)
}
