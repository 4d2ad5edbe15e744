package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
)

// maxLine bounds a line of the answer to an import.
const maxLine = 1 << 20

// ImportDocuments sends records as they come and calls rejected for each one
// the ledger does not take, while it sends. The summary is complete or there
// is an error; sending everything again is always safe.
//
// An error from records ends the import and is returned. records is not used
// any more when ImportDocuments returns.
func (c *Client) ImportDocuments(ctx context.Context, records iter.Seq2[ImportRecord, error],
	rejected func(Rejection) error) (ImportSummary, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, pipe := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := sendRecords(pipe, records)
		pipe.CloseWithError(err)
		sent <- err
	}()
	summary, err := c.importBody(ctx, body, rejected)
	body.Close() // stops the sender when the answer ended first
	sendErr := <-sent
	var own *recordsError
	if errors.As(sendErr, &own) || err == nil {
		err = sendErr
	}
	if err != nil {
		return summary, fmt.Errorf("import documents: %w", err)
	}
	return summary, nil
}

// recordsError is an error of the caller's records, which explains whatever
// the connection says afterwards.
type recordsError struct{ err error }

func (r *recordsError) Error() string { return r.err.Error() }
func (r *recordsError) Unwrap() error { return r.err }

func sendRecords(w io.Writer, records iter.Seq2[ImportRecord, error]) error {
	buffered := bufio.NewWriterSize(w, 64<<10)
	lines := json.NewEncoder(buffered)
	lines.SetEscapeHTML(false)
	for record, err := range records {
		if err != nil {
			return &recordsError{err}
		}
		if err := lines.Encode(record); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

func (c *Client) importBody(ctx context.Context, body io.Reader, rejected func(Rejection) error) (ImportSummary, error) {
	resp, err := c.api.ImportDocumentsWithBody(ctx, nil, "application/x-ndjson", body)
	if resp, err = expect(resp, err, http.StatusOK); err != nil {
		return ImportSummary{}, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for lines.Scan() {
		var line ImportLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return ImportSummary{}, fmt.Errorf("the answer is not what the API promises: %w", err)
		}
		switch {
		case line.Summary != nil:
			return *line.Summary, nil
		case line.Error != nil:
			return ImportSummary{}, importProblem(*line.Error)
		case line.Rejection != nil && rejected != nil:
			if err := rejected(*line.Rejection); err != nil {
				return ImportSummary{}, err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return ImportSummary{}, &connectionError{err}
	}
	return ImportSummary{}, &connectionError{errors.New("the answer ended without a summary; send everything again")}
}

// importProblem is an error line as the error it would have been before the
// first byte of the answer.
func importProblem(e ImportError) *Problem {
	status := http.StatusInternalServerError
	switch e.Code {
	case "ERR_EXPORT_UNAVAILABLE":
		status = http.StatusServiceUnavailable
	case "ERR_EXPORT_001":
		status = http.StatusBadRequest
	}
	return &Problem{Code: e.Code, Message: e.Message, TraceID: e.TraceID, Status: status}
}
