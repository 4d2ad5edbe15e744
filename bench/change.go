package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
)

// change is a number of documents that get a new revision.
type change struct {
	row      string
	number   int // from 1, at most 9; later ones overtake earlier ones
	permille int // of all documents
	pick     func(count, n, number int) []int64
}

// documents is how many of count documents change, at least one.
func (c change) documents(count int) int { return max(1, count*c.permille/1000) }

// clustered picks n neighbours in the order of the export, elsewhere for each change.
func clustered(count, n, number int) []int64 {
	first := (count - n) * number / 7
	places := make([]int64, n)
	for i := range places {
		places[i] = int64(first + i + 1)
	}
	return places
}

// scattered picks n places of all, evenly, the same ones always.
func scattered(count, n, number int) []int64 {
	places := make([]int64, n)
	for i, place := range rand.New(rand.NewPCG(uint64(number), uint64(count))).Perm(count)[:n] {
		places[i] = int64(place + 1)
	}
	return places
}

// marker is the text that revisions of this change have and no others.
func (c change) marker() string {
	return fmt.Sprintf("Revised for change %d of the benchmark.", c.number)
}

// modified is later than that of every real document and of every earlier change.
func (c change) modified() string { return fmt.Sprintf(`"2099-01-0%dT00:00:00Z"`, c.number) }

// payloadLine is what the bench reads of a line (docs/formats/json-raw.md).
type payloadLine struct {
	Content    struct{ Raw json.RawMessage }
	Source     string
	Stream     string
	UpstreamID string
}

// revisions is what writeRevisions wrote.
type revisions struct {
	source, stream string // of all of them
	ids            map[string]bool
}

// writeRevisions writes a new revision of the document in each line: the same
// but for its time and one text.
func writeRevisions(path string, lines []string, c change) (revisions, error) {
	made := revisions{ids: map[string]bool{}}
	var out bytes.Buffer
	for i, line := range lines {
		var read payloadLine
		if err := json.Unmarshal([]byte(line), &read); err != nil {
			return made, fmt.Errorf("line %.80q: %w", line, err)
		}
		if i == 0 {
			made.source, made.stream = read.Source, read.Stream
		}
		if read.Source != made.source || read.Stream != made.stream || made.ids[read.UpstreamID] {
			return made, fmt.Errorf("%s is there twice, or has another source or stream than the others", read.UpstreamID)
		}
		made.ids[read.UpstreamID] = true
		revised, err := c.revise(read.Content.Raw)
		if err != nil {
			return made, fmt.Errorf("revise %s: %w", read.UpstreamID, err)
		}
		out.Write(append(revised, '\n'))
	}
	return made, os.WriteFile(path, out.Bytes(), 0o600)
}

// revise gives a document another time and one more sentence.
func (c change) revise(doc []byte) ([]byte, error) {
	begin, end, err := member(doc, "modified")
	if err != nil {
		return nil, err
	}
	doc = splice(doc, begin, end, c.modified())
	for _, text := range []string{"details", "summary"} {
		if begin, end, err := member(doc, text); err == nil && end-begin >= 2 && doc[begin] == '"' {
			return splice(doc, end-1, end-1, " "+c.marker()), nil
		}
	}
	return splice(doc, 1, 1, fmt.Sprintf(`"details":%s,`, quoted(c.marker()))), nil
}

var errNoMember = errors.New("it is not there")

// member finds the value of a member of an object: doc[begin:end].
func member(doc []byte, name string) (begin, end int, err error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return 0, 0, fmt.Errorf("member %q: not an object: %.60s", name, doc)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return 0, 0, fmt.Errorf("member %q: %w", name, err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return 0, 0, fmt.Errorf("member %q: %w", name, err)
		}
		if key == name {
			end := int(dec.InputOffset())
			return end - len(value), end, nil
		}
	}
	return 0, 0, fmt.Errorf("member %q: %w", name, errNoMember)
}

// splice puts text in the place of doc[begin:end].
func splice(doc []byte, begin, end int, text string) []byte {
	return bytes.Join([][]byte{doc[:begin], []byte(text), doc[end:]}, nil)
}

// lineReader gives lines one after another.
type lineReader interface {
	Next() bool
	Line() string
	Err() error
}

// checkLines wants count lines, and the marker in those of the changed
// documents and in no others.
func checkLines(lines lineReader, count int, changed map[string]bool, marker string) error {
	read, found := 0, map[string]bool{}
	for lines.Next() {
		read++
		if marker == "" || !strings.Contains(lines.Line(), marker) {
			continue
		}
		var line payloadLine
		if err := json.Unmarshal([]byte(lines.Line()), &line); err != nil {
			return fmt.Errorf("line %d: %w", read, err)
		}
		if !changed[line.UpstreamID] || found[line.UpstreamID] {
			return fmt.Errorf("%s was not to be changed, or is there twice", line.UpstreamID)
		}
		found[line.UpstreamID] = true
	}
	switch {
	case lines.Err() != nil:
		return lines.Err()
	case read != count:
		return fmt.Errorf("it has %d documents, not %d", read, count)
	case len(found) != len(changed):
		return fmt.Errorf("it has %d of %d changed documents", len(found), len(changed))
	}
	return nil
}
