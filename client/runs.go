package client

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/stella-ops/exportcenter/internal/clock"
)

// waitPatience is how long WaitRun bears a server that does not answer.
const waitPatience = 60 * time.Second

// Ended reports whether the run has reached its end.
func (r Run) Ended() bool {
	switch r.Status {
	case RunStatusPending, RunStatusRunning, RunStatusWaiting:
		return false
	}
	return true
}

// CreateRun asks for an export. With an idempotency key, chosen freely, the
// call is repeated when the answer is lost, and makes one run only.
func (c *Client) CreateRun(ctx context.Context, req RunRequest, idempotencyKey string) (Run, error) {
	params := &CreateRunParams{}
	if idempotencyKey == "" {
		return c.createRun(ctx, params, req)
	}
	params.IdempotencyKey = &idempotencyKey
	return repeated(ctx, func() (Run, error) { return c.createRun(ctx, params, req) })
}

func (c *Client) createRun(ctx context.Context, params *CreateRunParams, req RunRequest) (Run, error) {
	var run Run
	resp, err := c.api.CreateRun(ctx, params, req)
	if resp, err = expect(resp, err, http.StatusAccepted); err != nil {
		return run, fmt.Errorf("create run: %w", err)
	}
	return run, decode(resp, &run)
}

// PriceRun says what a run would take from the ledger as it is now. Nothing is
// recorded, so it can be asked again at will.
func (c *Client) PriceRun(ctx context.Context, req RunRequest) (PriceTag, error) {
	req.Options.DryRun = true
	return repeated(ctx, func() (PriceTag, error) {
		var tag PriceTag
		resp, err := c.api.CreateRun(ctx, &CreateRunParams{}, req)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return tag, fmt.Errorf("dry run: %w", err)
		}
		return tag, decode(resp, &tag)
	})
}

// GetRun gives the state of a run.
func (c *Client) GetRun(ctx context.Context, id string) (Run, error) {
	return repeated(ctx, func() (Run, error) { return c.getRun(ctx, id) })
}

func (c *Client) getRun(ctx context.Context, id string) (Run, error) {
	var run Run
	resp, err := c.api.GetRun(ctx, id, nil)
	if resp, err = expect(resp, err, http.StatusOK); err != nil {
		return run, fmt.Errorf("get run %s: %w", id, err)
	}
	return run, decode(resp, &run)
}

// WaitRun asks for the run until it has ended, more and more rarely, and gives
// each state to seen (which may be nil). It bears a minute without answers.
func (c *Client) WaitRun(ctx context.Context, id string, seen func(Run)) (Run, error) {
	pause, heard := firstPause, clock.System()
	for {
		run, err := c.getRun(ctx, id)
		switch {
		case err == nil:
			heard = clock.System()
			if seen != nil {
				seen(run)
			}
			if run.Ended() {
				return run, nil
			}
		case !Temporary(err) || ctx.Err() != nil || clock.System().Sub(heard) >= waitPatience:
			return run, err
		}
		wait, ok := pauseBefore(err, pause)
		if !ok {
			return run, err
		}
		if err := sleep(ctx, wait); err != nil {
			return run, fmt.Errorf("wait for run %s: %w", id, err)
		}
		pause = min(pause*3/2, lastPause)
	}
}

// ListRuns gives a page of runs, newest first.
func (c *Client) ListRuns(ctx context.Context, params ListRunsParams) (RunPage, error) {
	return repeated(ctx, func() (RunPage, error) {
		var page RunPage
		resp, err := c.api.ListRuns(ctx, &params)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return page, fmt.Errorf("list runs: %w", err)
		}
		return page, decode(resp, &page)
	})
}

// RunPlan gives a page of the stored plan of a run.
func (c *Client) RunPlan(ctx context.Context, id string, params GetRunPlanParams) (RunPlan, error) {
	return repeated(ctx, func() (RunPlan, error) {
		var plan RunPlan
		resp, err := c.api.GetRunPlan(ctx, id, &params)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return plan, fmt.Errorf("plan of run %s: %w", id, err)
		}
		return plan, decode(resp, &plan)
	})
}

// CancelRun asks a run to end. Asking twice is asking once.
func (c *Client) CancelRun(ctx context.Context, id, reason string) (Run, error) {
	return repeated(ctx, func() (Run, error) {
		var run Run
		resp, err := c.api.CancelRun(ctx, id, nil, CancelRequest{Reason: reason})
		if resp, err = expect(resp, err, http.StatusAccepted); err != nil {
			return run, fmt.Errorf("cancel run %s: %w", id, err)
		}
		return run, decode(resp, &run)
	})
}
