package client

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func readEvents(text string) (events []serverEvent, err error) {
	for r := newEventReader(strings.NewReader(text)); ; {
		event, err := r.next()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, event)
	}
}

// The examples of WHATWG HTML section 9.2.6, and line ends of every kind.
func TestEventStreamsAsTheStandardHasThem(t *testing.T) {
	for text, want := range map[string][]serverEvent{
		"data: YHOO\ndata: +2\ndata: 10\n\n": {{data: "YHOO\n+2\n10"}},
		": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n": {{id: "1", data: "first event"}, {data: "second event"}},
		"data\n\ndata\ndata\n\ndata:":                      {{}, {data: "\n"}},
		"data:test\n\ndata: test\n\n":                      {{data: "test"}, {data: "test"}},
		"event: a\n\ndata: b\n\n":                          {{data: "b"}},
		"id: 7\r\nevent: a\r\ndata: b\r\n\r\ndata: c\r\rx": {{id: "7", kind: "a", data: "b"}, {id: "7", data: "c"}},
		"data: a\r\n\n":                                    {{data: "a"}},
		"id: a\x00b\ndata: c\n\nretry: 5\nother: 6\n\n":    {{data: "c"}},
		"\ufeffdata: a\n\n\ufeffdata: b\n\n":               {{data: "a"}},
		"data: cut off":                                    nil,
		"id: 1\ndata: whole\n\nid: 2\ndata: cut off\n":     {{id: "1", data: "whole"}},
	} {
		events, err := readEvents(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, events, "%q", text)
	}
	for name, text := range map[string]string{
		"line": "data: " + strings.Repeat("x", maxEventLine) + "\n\n", "lines": strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", 1100) + "\n",
		"not UTF-8": "data: \xff\n\n",
	} {
		_, err := readEvents(text)
		require.Error(t, err, name)
	}
}

func FuzzEventReader(f *testing.F) {
	for _, text := range []string{"id: 1\nevent: run.pending\ndata: {}\n\n", "data: a\r\n\r\n", ":\r\rdata", "\n\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		events, err := readEvents(text)
		for _, event := range events {
			if len(event.data) > 2*maxEventLine || strings.ContainsAny(event.id+event.kind, "\r\n") {
				t.Fatalf("%q: %+v", text, event)
			}
		}
		if err == nil {
			more, err := readEvents(text + "\n\ndata: x\n\n")
			if err != nil || len(more) < len(events) {
				t.Fatalf("%q: %v, then %v %v", text, events, more, err)
			}
		}
	})
}
