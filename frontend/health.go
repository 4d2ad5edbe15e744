package frontend

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const checkTimeout = 2 * time.Second

// Live answers as long as the process can answer at all.
func (h handlers) Live(context.Context, LiveRequestObject) (LiveResponseObject, error) {
	return Live200JSONResponse{Status: HealthStatusOk, Checks: []HealthCheck{}}, nil
}

// Ready runs all checks at once. Names and verdicts go out, reasons to the log.
func (h handlers) Ready(ctx context.Context, _ ReadyRequestObject) (ReadyResponseObject, error) {
	report := Health{Status: HealthStatusOk, Checks: h.runChecks(ctx)}
	for _, check := range report.Checks {
		if !check.Ok {
			report.Status = HealthStatusFailing
		}
	}
	if h.stopping.Load() {
		report.Status = HealthStatusStopping
	}
	if report.Status != HealthStatusOk {
		return Ready503JSONResponse(report), nil
	}
	return Ready200JSONResponse(report), nil
}

func (s *Server) runChecks(ctx context.Context) []HealthCheck {
	results := make([]HealthCheck, len(s.cfg.Ready))
	var all sync.WaitGroup
	for i, check := range s.cfg.Ready {
		all.Go(func() {
			err := runCheck(ctx, check)
			results[i] = HealthCheck{Name: check.Name, Ok: err == nil}
			if err != nil {
				s.log.LogAttrs(ctx, slog.LevelWarn, "readiness check failed",
					slog.String("check", check.Name), slog.Any("error", err))
			}
		})
	}
	all.Wait()
	return results
}

// runCheck gives up waiting after checkTimeout even if the check does not.
func runCheck(ctx context.Context, check Check) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	verdict := make(chan error, 1)
	go func() {
		defer func() {
			if recover() != nil {
				verdict <- errors.New("the check panicked")
			}
		}()
		verdict <- check.Run(ctx)
	}()
	select {
	case err := <-verdict:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
