package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/stella-ops/exportcenter/internal/clock"
)

// eventPatience is how long a stream may say nothing; the server says something
// every 15 seconds.
const eventPatience = 45 * time.Second

// EventOptions say what of a journal is wanted.
type EventOptions struct {
	// After is the number of the last event that is known; 0 = none.
	After int64
	// Once ends with the events that are there now.
	Once bool
}

// Ends reports whether the run ends with e.
func (e RunEvent) Ends() bool {
	switch e.EventType {
	case "run.succeeded", "run.failed", "run.aborted":
		return true
	}
	return false
}

// Events gives the events of a run in order, each once, as they happen, until the
// run has ended. A stream that breaks off is taken up again behind the last event;
// the iterator gives up, with an error as its last pair, when the server refuses,
// does not answer for a minute, or did not answer at all for some seconds.
//
//	for event, err := range c.Events(ctx, id, client.EventOptions{}) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(event.Seq, event.EventType, event.Message)
//	}
func (c *Client) Events(ctx context.Context, id string, options EventOptions) iter.Seq2[RunEvent, error] {
	return func(yield func(RunEvent, error) bool) {
		s := &eventSource{client: c, id: id, last: options.After, once: options.Once, pause: firstPause, heard: clock.System()}
		for {
			done, err := s.stream(ctx, func(e RunEvent) bool { return yield(e, nil) })
			if errors.Is(err, errStopped) || err == nil && done {
				return
			}
			if err == nil || Temporary(err) && ctx.Err() == nil && clock.System().Sub(s.heard) < s.patience() {
				err = s.again(ctx, err)
			}
			if err != nil {
				yield(RunEvent{}, fmt.Errorf("events of run %s: %w", id, err))
				return
			}
		}
	}
}

// errStopped ends a stream that nobody reads any more.
var errStopped = errors.New("the reader has stopped")

// eventSource is a journal on its way.
type eventSource struct {
	client *Client
	id     string
	last   int64 // number of the last event
	once   bool
	pause  time.Duration
	heard  time.Time // when a stream was last there
	met    bool      // the server has answered, whatever it said
}

// patience is how long a server is borne that does not answer: one that never did as
// long as by any other call.
func (s *eventSource) patience() time.Duration {
	if s.met {
		return waitPatience
	}
	return usualImportTimes.firstPatience
}

// again waits before the next stream, longer each time that nothing came. cause is
// why the last one ended, nil when it just did.
func (s *eventSource) again(ctx context.Context, cause error) error {
	pause, ok := pauseBefore(cause, s.pause)
	if !ok {
		return cause
	}
	s.pause = min(s.pause*2, lastPause)
	return sleep(ctx, pause)
}

// stream reads one answer to its end and reports whether nothing follows.
func (s *eventSource) stream(ctx context.Context, yield func(RunEvent) bool) (done bool, err error) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	params := &StreamEventsParams{}
	if s.last > 0 {
		last := strconv.FormatInt(s.last, 10)
		params.LastEventID = &last
	}
	if s.once {
		follow := false
		params.Follow = &follow
	}
	resp, err := s.client.api.StreamEvents(ctx, s.id, params)
	s.met = s.met || err == nil // also one that has no room for another stream now
	if resp, err = expect(resp, err, http.StatusOK, http.StatusNoContent); err != nil {
		return false, err
	}
	defer resp.Body.Close()
	s.heard = clock.System()
	if resp.StatusCode == http.StatusNoContent {
		return true, nil
	}
	body := s.client.body(resp.Body, giveUp)
	body.patience = min(body.patience, eventPatience)
	return s.read(newEventReader(body), yield)
}

func (s *eventSource) read(from *eventReader, yield func(RunEvent) bool) (done bool, err error) {
	for {
		raw, err := from.next()
		if errors.Is(err, io.EOF) {
			return s.once, nil
		}
		if err != nil {
			return false, err
		}
		event, err := s.event(raw)
		if err != nil {
			return false, err
		}
		s.last, s.pause, s.heard = event.Seq, firstPause, clock.System()
		if !yield(event) {
			return false, errStopped
		}
		if event.Ends() {
			return true, nil
		}
	}
}

// event reads the data of an event, which must be the next one of the journal.
func (s *eventSource) event(raw serverEvent) (RunEvent, error) {
	var event RunEvent
	if err := json.Unmarshal([]byte(raw.data), &event); err != nil {
		return event, fmt.Errorf("an event is not what the API promises: %w", err)
	}
	if raw.id != strconv.FormatInt(event.Seq, 10) || event.RunID != s.id {
		return event, fmt.Errorf("event %.40q says that it is event %d of run %.40q", raw.id, event.Seq, event.RunID)
	}
	if event.Seq != s.last+1 {
		return event, fmt.Errorf("event %d follows event %d", event.Seq, s.last)
	}
	return event, nil
}
