package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxEventLine bounds a line of an event stream.
const maxEventLine = 1 << 20

// serverEvent is a server-sent event (WHATWG HTML section 9.2.6).
type serverEvent struct {
	id   string // the last one that was set, of this event or one before it
	kind string // "" = message
	data string
}

// eventReader reads a stream of server-sent events. What is after the last empty
// line is not an event: the connection broke inside it.
type eventReader struct {
	lines *bufio.Scanner
	id    string
	begun bool
}

func newEventReader(r io.Reader) *eventReader {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4<<10), maxEventLine)
	ended := false // by CR: an LF behind it belongs to the same end
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		skip := 0
		if ended && len(data) > 0 && data[0] == '\n' {
			skip = 1
		}
		if len(data) > 0 {
			ended = false
		}
		end := bytes.IndexAny(data[skip:], "\r\n")
		if end < 0 {
			if skip > 0 {
				return skip, nil, nil
			}
			return 0, nil, nil // the rest of a stream that ends here is dropped
		}
		end += skip
		ended = data[end] == '\r'
		return end + 1, data[skip:end], nil
	})
	return &eventReader{lines: lines}
}

// next gives the next event that has data; io.EOF at the end.
func (r *eventReader) next() (serverEvent, error) {
	var event serverEvent
	var data []string
	size := 0
	for r.lines.Scan() {
		line := r.lines.Text()
		if !r.begun {
			line, r.begun = strings.TrimPrefix(line, "\ufeff"), true
		}
		if line == "" {
			if data == nil {
				event.kind = ""
				continue
			}
			event.id, event.data = r.id, strings.Join(data, "\n")
			return event, nil
		}
		if !utf8.ValidString(line) {
			return event, errors.New("an event is not UTF-8")
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			if !strings.Contains(value, "\x00") {
				r.id = value
			}
		case "event":
			event.kind = value
		case "data":
			data = append(data, value)
			if size += len(value) + 1; size > maxEventLine {
				return event, fmt.Errorf("an event has more than %d bytes", maxEventLine)
			}
		}
	}
	if err := r.lines.Err(); err != nil {
		return event, err
	}
	return event, io.EOF
}
