package frontend

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/stella-ops/exportcenter/export"
)

// StreamEvents gives the journal of a run, from where the client has it.
func (h handlers) StreamEvents(ctx context.Context, req StreamEventsRequestObject) (StreamEventsResponseObject, error) {
	after, err := lastEvent(req.Params)
	if err != nil {
		return nil, err
	}
	finding, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	run, err := h.findRun(finding, req.ID)
	if err != nil {
		return nil, err
	}
	stream := &eventStream{server: h.Server, call: callOf(ctx), after: after, once: req.Params.Follow != nil && !*req.Params.Follow}
	if stream.feed, stream.leave, err = h.events.join(run.Ref()); err != nil {
		return nil, err
	}
	head, err := stream.feed.ask(finding)
	switch {
	case err != nil:
	case after > head.Seq:
		err = fieldError(export.CodeValidation, "Last-Event-ID", "the run has %d events so far", head.Seq)
	case head.Ended && after == head.Seq:
		stream.leave()
		return StreamEvents204Response{}, nil
	default:
		return stream, nil
	}
	stream.leave()
	return nil, err
}

// lastEvent is the number of the last event the client has. A browser repeats the
// query when it connects again, so the header wins.
func lastEvent(p StreamEventsParams) (int64, error) {
	if p.LastEventID != nil && *p.LastEventID != "" {
		n, err := strconv.ParseUint(*p.LastEventID, 10, 63)
		if err != nil {
			return 0, fieldError(export.CodeValidation, "Last-Event-ID", "must be the number of an event")
		}
		return int64(n), nil
	}
	if p.After != nil {
		if *p.After < 0 {
			return 0, fieldError(export.CodeValidation, "after", "must be the number of an event")
		}
		return *p.After, nil
	}
	return 0, nil
}

// eventStream is one open stream.
type eventStream struct {
	server *Server
	call   *call
	feed   *eventFeed
	leave  func()
	after  int64 // the last event that was sent
	once   bool  // end after what is there

	out  *patientWriter
	text bytes.Buffer
}

// VisitStreamEventsResponse sends events until the run ends, the client leaves, its
// token expires, or the server is about to stop. An error after the first byte
// breaks the connection: the client goes on behind the last event.
func (e *eventStream) VisitStreamEventsResponse(w http.ResponseWriter) error {
	defer e.leave()
	e.out = newPatientWriter(w)
	e.out.patience = e.server.events.limits.WritePatience
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	if e.call.request.Method == http.MethodHead {
		return nil
	}
	ctx := e.call.request.Context()
	if err := e.comment("events of run " + e.feed.ref.RunID); err != nil {
		return nil
	}
	ended, err := e.catchUp(ctx)
	for err == nil && !ended && !e.once {
		var changed bool
		if changed, err = e.wait(ctx); err != nil || !changed {
			break
		}
		ended, err = e.catchUp(ctx)
	}
	if err != nil && ctx.Err() == nil && !isGone(err) {
		return err
	}
	return nil
}

// gone is the error of a client that does not take what is sent.
type gone struct{ error }

func isGone(err error) bool {
	_, ok := err.(gone)
	return ok
}

// catchUp sends what is there, and reports whether that was the end.
func (e *eventStream) catchUp(ctx context.Context) (ended bool, err error) {
	for {
		head, _ := e.feed.state()
		if e.after >= head.Seq {
			return head.Ended, nil
		}
		events, err := e.feed.since(ctx, e.after)
		if err != nil {
			return false, err
		}
		if len(events) == 0 {
			return false, fmt.Errorf("the journal of run %s has no event %d", e.feed.ref.RunID, e.after+1)
		}
		if err := e.send(events); err != nil {
			return false, err
		}
	}
}

// wait sleeps until there may be more, with a comment once in a while. It gives
// false when the stream is to end.
func (e *eventStream) wait(ctx context.Context) (bool, error) {
	expired, stop := e.expiry()
	defer stop()
	beat := time.NewTicker(e.server.events.limits.Heartbeat)
	defer beat.Stop()
	for {
		head, changed := e.feed.state()
		if head.Seq > e.after || head.Ended {
			return true, nil
		}
		select {
		case <-changed:
		case <-beat.C:
			if e.suspended(ctx) {
				return false, e.comment("the tenant is suspended")
			}
			if err := e.comment("still here"); err != nil {
				return false, err
			}
		case <-expired:
			return false, e.comment("the token has expired")
		case <-e.server.events.draining:
			return false, e.comment("the server is about to stop")
		case <-ctx.Done():
			return false, nil
		}
	}
}

// suspended asks what the door asks. A stream outlives a moment in which nobody
// knows, until its token expires.
func (e *eventStream) suspended(ctx context.Context) bool {
	return export.CodeOf(e.server.closed.check(ctx, e.feed.ref.Tenant)) == export.CodeTenantSuspended
}

// expiry gives a channel that tells when the caller's token expires.
func (e *eventStream) expiry() (<-chan time.Time, func()) {
	expires := e.call.principal.Expires
	if expires.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(expires.Sub(e.server.clock()))
	return timer.C, func() { timer.Stop() }
}

// send writes events and lets them go.
func (e *eventStream) send(events []export.Event) error {
	e.text.Reset()
	for _, event := range events {
		if err := writeEvent(&e.text, event); err != nil {
			return err
		}
	}
	if err := e.flush(); err != nil {
		return err
	}
	e.after = events[len(events)-1].Seq
	return nil
}

// comment is a line that readers pass over.
func (e *eventStream) comment(text string) error {
	e.text.Reset()
	fmt.Fprintf(&e.text, ": %s\n\n", text)
	return e.flush()
}

func (e *eventStream) flush() error {
	_, err := e.out.Write(e.text.Bytes())
	if err == nil {
		err = e.out.control.Flush()
	}
	if e.text.Cap() > 64<<10 {
		e.text = bytes.Buffer{} // an idle stream keeps nothing
	}
	if err != nil {
		return gone{err}
	}
	return nil
}

// writeEvent writes an event as the standard wants it: JSON has no line ends.
func writeEvent(to *bytes.Buffer, event export.Event) error {
	doc := RunEvent{RunID: event.RunID, Seq: event.Seq, EventType: string(event.Type), Message: event.Message,
		At: event.At.UTC(), Metrics: map[string]int64{}}
	for name, value := range event.Metrics {
		doc.Metrics[name] = value
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("encode event %d of run %s: %w", event.Seq, event.RunID, err)
	}
	fmt.Fprintf(to, "id: %d\nevent: %s\ndata: %s\n\n", event.Seq, event.Type, data)
	return nil
}
