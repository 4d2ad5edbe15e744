package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// OriginalsDir holds the documents of a mirror as their publishers wrote them, byte
// for byte: data/original/<kind>/<SHA-256 of the content, hex>. A name is a digest, so
// the manifest does not list them one by one, and neither does checksums.txt; the
// payload files indexes/originals-* do, and they list exactly those that are there.
const OriginalsDir = PayloadDir + "original/"

// MaxOriginal bounds one original, in bytes: what the ledger takes.
const MaxOriginal = 64 << 20

// IsOriginal reports whether path is in the directory of originals.
func IsOriginal(path string) bool { return strings.HasPrefix(path, OriginalsDir) }

// OriginalPath is where the original of a document of a kind is.
func OriginalPath(kind string, digest Digest) string {
	return OriginalsDir + kind + "/" + digest.Hex()
}

// maxKind is more than the name of any kind of evidence has.
const maxKind = 20

// ParseOriginalPath reads what OriginalPath writes.
func ParseOriginalPath(path string) (kind string, digest Digest, err error) {
	rest, within := strings.CutPrefix(path, OriginalsDir)
	kind, name, two := strings.Cut(rest, "/")
	if !within || !two || len(name) != 2*len(digest) || !isLower(kind) || len(kind) > maxKind {
		return "", digest, fmt.Errorf("%.300q is no path of an original: %s<kind>/<64 hex digits>", path, OriginalsDir)
	}
	if digest, err = parseHex(name, name); err != nil {
		return "", digest, fmt.Errorf("%.300q: %w", path, err)
	}
	return kind, digest, nil
}

// SplitLines is a bufio.SplitFunc that cuts behind each line feed and nowhere else: other
// than bufio.ScanLines it leaves a carriage return in the line, which is no part of the
// form of any.
func SplitLines(data []byte, atEOF bool) (advance int, line []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// isLower reports whether text is one or more letters from a to z.
func isLower(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] < 'a' || text[i] > 'z' {
			return false
		}
	}
	return text != ""
}

// Original is a line of indexes/originals-*: an original that is in the archive.
type Original struct {
	Bytes int64  `json:"bytes"`
	Path  string `json:"path"`
}

// Append appends the line of o, without its line feed. It is canonical JSON: a path
// needs no escapes.
func (o Original) Append(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, bytesMember...), o.Bytes, 10)
	return append(append(append(dst, pathMember...), o.Path...), lineEnd...)
}

// Members of a line, in their one order.
const (
	bytesMember = `{"bytes":`
	pathMember  = `,"path":"`
	lineEnd     = `"}`
)

// ParseOriginal reads what Append writes, and nothing else. There are as many lines as
// documents, so what has that form is read by it; why another is refused, the decoder
// knows.
func ParseOriginal(line []byte) (Original, error) {
	if o, ok := scanOriginal(line); ok {
		return o, nil
	}
	return explainOriginal(line)
}

func scanOriginal(line []byte) (o Original, ok bool) {
	rest, begins := bytes.CutPrefix(line, []byte(bytesMember))
	digits, rest, two := bytes.Cut(rest, []byte(pathMember))
	path, ends := bytes.CutSuffix(rest, []byte(lineEnd))
	if !begins || !two || !ends || len(digits) == 0 || len(digits) > maxOriginalDigits || digits[0] == '0' && len(digits) > 1 {
		return o, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return o, false
		}
		o.Bytes = 10*o.Bytes + int64(c-'0')
	}
	o.Path = string(path)
	_, _, err := ParseOriginalPath(o.Path)
	return o, err == nil && o.Bytes <= MaxOriginal
}

// maxOriginalDigits is how many MaxOriginal has.
const maxOriginalDigits = 8

// explainOriginal is ParseOriginal by way of the decoder.
func explainOriginal(line []byte) (o Original, err error) {
	if err := json.Unmarshal(line, &o); err != nil {
		return o, fmt.Errorf("line of an index of originals: %w", err)
	}
	if _, _, err := ParseOriginalPath(o.Path); err != nil {
		return o, fmt.Errorf("line of an index of originals: %w", err)
	}
	if o.Bytes < 0 || o.Bytes > MaxOriginal {
		return o, fmt.Errorf("line of an index of originals: %s has %d bytes; an original has at most %d", o.Path, o.Bytes, MaxOriginal)
	}
	if !bytes.Equal(o.Append(nil), line) {
		return o, fmt.Errorf("line of an index of originals: %w", ErrNotCanonical)
	}
	return o, nil
}
