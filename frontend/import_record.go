package frontend

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// maxNameText bounds a name that comes back in messages.
const maxNameText = 4096

// importRecord is a line of an import; openapi.yaml has it as ImportRecord.
type importRecord struct {
	Source    string  `json:"source"`
	Stream    string  `json:"stream"`
	File      string  `json:"file"`
	Entry     string  `json:"entry"`
	MediaType string  `json:"mediaType"`
	Bytes     *[]byte `json:"bytes"`
}

// decodeRecord reads one line of an import.
func decodeRecord(line []byte) (ledger.Entry, error) {
	record, plain := plainRecord(line)
	if !plain {
		record = importRecord{}
		if err := bundle.UnmarshalStrict(line, &record); err != nil {
			return ledger.Entry{}, fmt.Errorf("the record is not valid: %w", inWords(err))
		}
	}
	entry := record.names()
	if record.Bytes == nil {
		return entry, errors.New("the record has no bytes")
	}
	entry.Bytes = *record.Bytes
	return entry, checkSize(entry.Bytes)
}

// names is the entry without its document.
func (r *importRecord) names() ledger.Entry {
	return ledger.Entry{Source: r.Source, Stream: r.Stream, File: shortened(r.File), Name: shortened(r.Entry)}
}

func checkSize(document []byte) error {
	if len(document) > ledger.MaxDocument {
		return fmt.Errorf("the document has %d bytes, at most %d are allowed", len(document), ledger.MaxDocument)
	}
	return nil
}

// decodeLargeRecord reads a line that is given away, and puts the document in
// the line's own memory. The strict decoder sees the record without the
// document, which is plain base64 or is refused: so it is decodeRecord for
// everything that has no escapes inside its bytes.
func decodeLargeRecord(line []byte) (ledger.Entry, error) {
	whole, err := ledger.ParseObject("", line)
	if err != nil {
		return ledger.Entry{}, errors.New("the record is not valid: it is not a JSON object")
	}
	value := whole.Field("bytes")
	if !ledger.IsText(value) {
		return ledger.Entry{}, errors.New("the record is not valid: bytes is missing or not a string")
	}
	from := cap(line) - cap(value) + len(`"`) // value is a part of line
	to := from + len(value) - len(`""`)
	if len(line)-(to-from) > maxRecordNames {
		return ledger.Entry{}, fmt.Errorf("the record has more than %d bytes beside the document", maxRecordNames)
	}
	var record importRecord
	if err := bundle.UnmarshalStrict(slices.Concat(line[:from], line[to:]), &record); err != nil {
		return ledger.Entry{}, fmt.Errorf("the record is not valid: %w", inWords(err))
	}
	entry := record.names()
	if entry.Bytes, err = decodeInPlace(line[from:to:to]); err != nil {
		return entry, err
	}
	return entry, checkSize(entry.Bytes)
}

// decodeInPlace decodes base64 into its own memory: eight characters are read
// before the six bytes they stand for are written.
func decodeInPlace(text []byte) ([]byte, error) {
	for _, c := range []byte{'\r', '\n', '\\'} { // the decoder passes over line ends, JSON has none
		if bytes.IndexByte(text, c) >= 0 {
			return nil, errors.New("the record is not valid: bytes is not plain base64")
		}
	}
	n, err := base64.StdEncoding.Decode(text, text)
	if err != nil {
		return nil, fmt.Errorf("the record is not valid: bytes is not base64: %w", err)
	}
	return text[:n], nil
}

// plainRecord reads the records that clients write: an object of known string
// members, each once, without escapes. It is several times faster than the
// strict decoder, and whatever is not that plain it leaves to it: a fuzz test
// holds the two to each other.
func plainRecord(line []byte) (importRecord, bool) {
	var record importRecord
	rest, ok := bytes.CutPrefix(line, []byte("{"))
	for first := true; ok; first = false {
		if done, found := bytes.CutPrefix(rest, []byte("}")); found {
			return record, !first && len(done) == 0
		}
		if !first {
			if rest, ok = bytes.CutPrefix(rest, []byte(",")); !ok {
				break
			}
		}
		var name, value []byte
		if name, rest, ok = plainString(rest); !ok {
			break
		}
		if rest, ok = bytes.CutPrefix(rest, []byte(":")); !ok {
			break
		}
		if value, rest, ok = plainString(rest); ok {
			ok = record.set(string(name), value)
		}
	}
	return record, false
}

// plainString takes a quoted string without escapes off the front of b.
func plainString(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	end := bytes.IndexByte(b[1:], '"')
	if end < 0 {
		return nil, nil, false
	}
	return b[1 : 1+end], b[2+end:], true
}

// set fills the member name, unless it is unknown, was set before or needs the
// strict decoder.
func (r *importRecord) set(name string, value []byte) bool {
	if name == "bytes" {
		return r.setBytes(value)
	}
	var member *string
	switch name {
	case "source":
		member = &r.Source
	case "stream":
		member = &r.Stream
	case "file":
		member = &r.File
	case "entry":
		member = &r.Entry
	case "mediaType":
		member = &r.MediaType
	default:
		return false
	}
	if *member != "" || len(value) == 0 || !utf8.Valid(value) {
		return false
	}
	for _, c := range value {
		if c < ' ' || c == '\\' {
			return false
		}
	}
	*member = string(value)
	return true
}

func (r *importRecord) setBytes(value []byte) bool {
	// The decoder passes over line ends; JSON has none inside a string.
	if r.Bytes != nil || bytes.IndexByte(value, '\r') >= 0 || bytes.IndexByte(value, '\n') >= 0 {
		return false
	}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(value)))
	n, err := base64.StdEncoding.Decode(decoded, value)
	if err != nil {
		return false
	}
	decoded = decoded[:n]
	r.Bytes = &decoded
	return true
}

// shortened bounds a name that comes back in messages only.
func shortened(name string) string {
	if len(name) <= maxNameText {
		return name
	}
	cut := maxNameText
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut]
}
