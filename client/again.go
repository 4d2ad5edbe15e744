package client

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/internal/clock"
)

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	// attempts is how often a call that may be repeated is made.
	attempts = 4
	// longestWait is the longest that a call waits by itself because a server asks for
	// it (Retry-After). When more is asked for the call ends, and RetryAfter tells.
	longestWait = 30 * time.Second
)

// laterError is a refusal that says when to come back (RFC 9110 section 10.2.3).
type laterError struct {
	*Problem
	after time.Duration
}

func (l *laterError) Unwrap() error { return l.Problem }

// Error adds when to come back.
func (l *laterError) Error() string {
	return l.Problem.Error() + ", come back in " + l.after.Round(time.Second).String()
}

// RetryAfter gives how long the server asked to wait before the same request is made
// again. A call that may be repeated has waited already where that is at most half a
// minute.
func RetryAfter(err error) (time.Duration, bool) {
	var later *laterError
	if !errors.As(err, &later) {
		return 0, false
	}
	return later.after, true
}

// askedFor reads Retry-After: seconds, or a date, which is held against the server's
// own clock where it tells it. What is neither says nothing.
func askedFor(h http.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	const most = 365 * 24 * time.Hour
	if strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(most/time.Second) {
			return most, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), most), true
}

// pauseBefore is how long to wait before a call that failed with err is made again,
// when it would otherwise be usual. It reports false when the server asks for more
// than a call waits by itself.
func pauseBefore(err error, usual time.Duration) (time.Duration, bool) {
	asked, said := RetryAfter(err)
	if !said {
		return usual, true
	}
	return max(asked, usual), asked <= longestWait
}

// repeated makes a call that may be made twice, again while it fails in a way
// that may go away.
func repeated[T any](ctx context.Context, call func() (T, error)) (T, error) {
	usual := firstPause
	for n := 1; ; n++ {
		result, err := call()
		if err == nil || n == attempts || !Temporary(err) || ctx.Err() != nil {
			return result, err
		}
		pause, ok := pauseBefore(err, usual)
		if !ok || sleep(ctx, pause) != nil {
			return result, err
		}
		usual *= 4
	}
}

// sleep waits, or ends with the context. A wait that the context's end would cut
// short is not begun.
func sleep(ctx context.Context, pause time.Duration) error {
	if end, bounded := ctx.Deadline(); bounded && end.Sub(clock.System()) < pause {
		return context.DeadlineExceeded
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
