package adapters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// Document says of which document the lines behind it are, in an intermediate shard
// (Builder.Ships is false): the guard finds canaries by it, and what disappeared. A
// packer writes one for every document, as the first line of the document's, also for
// one that gives no record. No other line of such a shard begins with DocumentStart.
type Document struct {
	// Key is the document's place in an export (ledger.Row.Key): documents come in the
	// order of their keys.
	Key string `json:"key"`
	// ID is what its publisher calls it; Aliases are its other ids.
	ID      string   `json:"id"`
	Aliases []string `json:"aliases"`
	// Records is how many lines of the document make a record; 0 of a withdrawn one.
	Records int64  `json:"records"`
	Source  string `json:"source"`
}

// DocumentStart is how a document's line begins.
const DocumentStart = `{"document":`

// AppendDocument appends the document line of doc, without its line feed. It is
// canonical JSON (RFC 8785).
func AppendDocument(dst []byte, doc ledger.Line, records int64) ([]byte, error) {
	w := textAppender{dst: append(dst, DocumentStart+`{"aliases":[`...)}
	for i, alias := range doc.Aliases {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		w.text(alias)
	}
	w.dst = append(w.dst, `],"id":`...)
	w.text(doc.UpstreamID)
	w.dst = append(w.dst, `,"key":`...)
	w.text(doc.Key())
	w.dst = strconv.AppendInt(append(w.dst, `,"records":`...), records, 10)
	w.dst = append(w.dst, `,"source":`...)
	w.text(doc.Source)
	return append(w.dst, '}', '}'), w.err
}

type textAppender struct {
	dst []byte
	err error // the first one
}

func (w *textAppender) text(s string) {
	dst, err := bundle.AppendText(w.dst, s)
	if w.dst = dst; w.err == nil {
		w.err = err
	}
}

// DocumentOf reads a line of an intermediate shard; there is false when it is not a
// document's.
func DocumentOf(line []byte) (doc Document, there bool, err error) {
	if !bytes.HasPrefix(line, []byte(DocumentStart)) {
		return doc, false, nil
	}
	var of struct {
		Document Document `json:"document"`
	}
	if err := json.Unmarshal(line, &of); err != nil {
		return doc, true, fmt.Errorf("document line of a packed shard: %w", err)
	}
	if of.Document.Key == "" || of.Document.ID == "" || of.Document.Records < 0 {
		return doc, true, fmt.Errorf("document line of a packed shard: it names no document")
	}
	return of.Document, true, nil
}
