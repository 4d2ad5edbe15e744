package client

import (
	"context"
	"fmt"
	"net/http"
)

// GuardReport gives what the guard found of a run.
func (c *Client) GuardReport(ctx context.Context, id string) (GuardReport, error) {
	return repeated(ctx, func() (GuardReport, error) {
		var report GuardReport
		resp, err := c.api.GetGuardReport(ctx, id, nil)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return report, fmt.Errorf("guard report of run %s: %w", id, err)
		}
		return report, decode(resp, &report)
	})
}

// ApproveRun lets a run that waits go on. The same person asking twice is asking once.
func (c *Client) ApproveRun(ctx context.Context, id, reason string) (Run, error) {
	return repeated(ctx, func() (Run, error) {
		var run Run
		resp, err := c.api.ApproveRun(ctx, id, nil, DecisionRequest{Reason: reason})
		if resp, err = expect(resp, err, http.StatusAccepted); err != nil {
			return run, fmt.Errorf("approve run %s: %w", id, err)
		}
		return run, decode(resp, &run)
	})
}

// RejectRun ends a run that waits. The same person asking twice is asking once.
func (c *Client) RejectRun(ctx context.Context, id, reason string) (Run, error) {
	return repeated(ctx, func() (Run, error) {
		var run Run
		resp, err := c.api.RejectRun(ctx, id, nil, DecisionRequest{Reason: reason})
		if resp, err = expect(resp, err, http.StatusAccepted); err != nil {
			return run, fmt.Errorf("reject run %s: %w", id, err)
		}
		return run, decode(resp, &run)
	})
}

// LatestRun gives the run whose bundle is the published one of a profile.
func (c *Client) LatestRun(ctx context.Context, profile string) (Run, error) {
	return repeated(ctx, func() (Run, error) {
		var run Run
		resp, err := c.api.GetLatestRun(ctx, profile, nil)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return run, fmt.Errorf("latest run of profile %s: %w", profile, err)
		}
		return run, decode(resp, &run)
	})
}
