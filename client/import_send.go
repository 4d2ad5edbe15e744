package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/internal/clock"
)

// maxLine bounds a line of the answer to an import.
const maxLine = 1 << 20

// importTimes are how long an import bears a server that acknowledges nothing,
// or never did, and how long it rests before it tries again.
type importTimes struct{ patience, firstPatience, rest, lastRest time.Duration }

var usualImportTimes = importTimes{
	patience: 2 * time.Minute, firstPatience: 3 * time.Second, rest: 100 * time.Millisecond, lastRest: 5 * time.Second,
}

// deliver sends a parcel until all of it is acknowledged. After a failure that
// may go away it sends again what was not, more and more rarely.
func (i *importing) deliver(ctx context.Context, p *parcel) (Settled, error) {
	var all Settled
	times := i.client.imports
	rest := times.rest
	for {
		part, err := i.client.importOnce(ctx, p.after(all.Summary.Read), p.records()-all.Summary.Read)
		for n := range part.Rejections {
			part.Rejections[n].Record += p.first + all.Summary.Read
		}
		all.Rejections = append(all.Rejections, part.Rejections...)
		all.add(part)
		if part.Summary.Read > 0 {
			rest = times.rest
			i.hear()
		}
		if err == nil {
			return all, nil
		}
		if ctx.Err() != nil {
			return all, context.Cause(ctx)
		}
		if !Temporary(err) || i.lost() {
			return all, err
		}
		pause, ok := pauseBefore(err, rest)
		if !ok {
			return all, err
		}
		if i.options.Again != nil {
			i.options.Again(err, pause)
		}
		if err := sleep(ctx, pause); err != nil {
			return all, cmp.Or(context.Cause(ctx), err)
		}
		all.Resent = p.records() - all.Summary.Read
		rest = min(2*rest, times.lastRest)
	}
}

// hear notes that the server acknowledged something.
func (i *importing) hear() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.heard, i.met = clock.System(), true
}

// lost reports whether there is no hope: a server that never acknowledged
// anything is borne as long as by any other call, one that did much longer.
func (i *importing) lost() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	patience := i.client.imports.patience
	if !i.met {
		patience = i.client.imports.firstPatience
	}
	return clock.System().Sub(i.heard) > patience
}

// importOnce sends count lines in one request. What it gives is settled, also
// beside an error; without one it is everything.
func (c *Client) importOnce(ctx context.Context, lines []byte, count int64) (Settled, error) {
	ctx, cancel := context.WithCancel(ctx)
	body := &lentBody{Reader: bytes.NewReader(lines), returned: make(chan struct{})}
	defer body.wait() // the transport may read on behind an early answer
	defer cancel()
	resp, err := c.api.ImportDocumentsWithBody(ctx, nil, "application/x-ndjson", body, func(_ context.Context, req *http.Request) error {
		req.ContentLength = int64(len(lines))
		body.lent = true
		return nil
	})
	if resp, err = expect(resp, err, http.StatusOK); err != nil {
		return Settled{}, err
	}
	defer resp.Body.Close()
	answer := importAnswer{count: count}
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(nil, maxLine)
	scanner.Split(wholeLines)
	for scanner.Scan() {
		done, err := answer.line(scanner.Bytes())
		if done || err != nil {
			return answer.settled(), err
		}
	}
	if err := scanner.Err(); err != nil {
		return answer.settled(), &connectionError{err}
	}
	return answer.settled(), &connectionError{errors.New("the answer ended without a summary")}
}

// wholeLines splits at line feeds; what a broken connection leaves behind the
// last one is no line.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if end := bytes.IndexByte(data, '\n'); end >= 0 {
		return end + 1, data[:end], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

// lentBody is a body whose bytes are used again when it comes back.
type lentBody struct {
	*bytes.Reader
	lent     bool // a request was made of it
	once     sync.Once
	returned chan struct{}
}

// Close implements io.Closer.
func (b *lentBody) Close() error {
	b.once.Do(func() { close(b.returned) })
	return nil
}

// wait waits until the transport is done with the body, as it promises to be
// (http.RoundTripper). The request's context has ended.
func (b *lentBody) wait() {
	if b.lent {
		<-b.returned
	}
}

var _ io.ReadCloser = (*lentBody)(nil)

// importAnswer is what the server told of the records of one request so far.
type importAnswer struct {
	count      int64 // records that were sent
	recorded   ImportSummary
	rejections []Rejection // in the order of records, also of records not yet settled
}

// settled is what will not change any more.
func (a *importAnswer) settled() Settled {
	n := 0
	for n < len(a.rejections) && a.rejections[n].Record <= a.recorded.Read {
		n++
	}
	return Settled{Summary: a.recorded, Rejections: a.rejections[:n]}
}

// line takes a line of the answer; done says that it was the last one.
func (a *importAnswer) line(raw []byte) (done bool, err error) {
	var line ImportLine
	if err := json.Unmarshal(raw, &line); err != nil {
		return false, fmt.Errorf("the answer is not what the API promises: %w", err)
	}
	switch {
	case line.Rejection != nil:
		a.rejections = append(a.rejections, *line.Rejection)
		return false, a.checkRejection()
	case line.Recorded != nil:
		return false, a.acknowledge(*line.Recorded)
	case line.Error != nil:
		return false, importProblem(*line.Error)
	case line.Summary == nil:
		return false, nil // a line of a later version
	}
	if err := a.acknowledge(*line.Summary); err != nil {
		return false, err
	}
	if a.recorded.Read != a.count {
		return false, fmt.Errorf("the counts do not add up: %d records sent, the server tells of %d", a.count, a.recorded.Read)
	}
	return true, nil
}

// acknowledge takes the sums of the first records, which must agree with
// themselves, with those before and with the rejections told.
func (a *importAnswer) acknowledge(s ImportSummary) error {
	before := a.recorded
	a.recorded = s
	switch {
	case s.Read < before.Read || s.Read > a.count,
		max(s.Accepted, s.Unchanged, s.Superseded, s.Rejected) > s.Read, // or their sum could run over
		s.Accepted < before.Accepted || s.Unchanged < before.Unchanged || s.Superseded < before.Superseded || s.Rejected < before.Rejected,
		s.Accepted+s.Unchanged+s.Superseded+s.Rejected != s.Read, s.Rejected != int64(len(a.settled().Rejections)):
		a.recorded = before
		return fmt.Errorf("the counts do not add up: of %d records the server tells %d read, %d accepted, %d unchanged, %d superseded, %d rejected; %d rejections came",
			a.count, s.Read, s.Accepted, s.Unchanged, s.Superseded, s.Rejected, len(a.rejections))
	}
	return nil
}

// checkRejection wants rejections in the order of their records.
func (a *importAnswer) checkRejection() error {
	last := len(a.rejections) - 1
	after := a.recorded.Read
	if last > 0 {
		after = max(after, a.rejections[last-1].Record)
	}
	if number := a.rejections[last].Record; number <= after || number > a.count {
		a.rejections = a.rejections[:last]
		return fmt.Errorf("the answer is not what the API promises: record %d is rejected after record %d, of %d", number, after, a.count)
	}
	return nil
}

// importProblem is an error line as the error it would have been before the
// first byte of the answer. The whole body was sent: if the server saw its end
// too early, the connection is to blame.
func importProblem(e ImportError) error {
	status := http.StatusInternalServerError
	switch e.Code {
	case "ERR_EXPORT_UNAVAILABLE":
		status = http.StatusServiceUnavailable
	case "ERR_EXPORT_001":
		return &connectionError{errors.New(e.Message)}
	}
	return &Problem{Code: e.Code, Message: e.Message, TraceID: e.TraceID, Status: status}
}
