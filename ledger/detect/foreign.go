package detect

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
)

// foreign are the beginnings of files that people take for evidence in JSON.
var foreign = []struct{ start, reason string }{
	{"SPDXVersion:", "SPDX tag-value is not supported; convert it to SPDX JSON"},
	{"\xff\xfe", "UTF-16 text is not supported; JSON is UTF-8"},
	{"\xfe\xff", "UTF-16 text is not supported; JSON is UTF-8"},
	{"\xef\xbb\xbf", "begins with a byte order mark, which JSON must not; remove its three bytes"},
	{"<", "XML is not supported; convert it to JSON"},
	{"PK\x03\x04", "a zip archive; give it the extension .zip"},
	{"\x1f\x8b", "gzip-compressed; give it the extension .tar.gz or unpack it"},
	{"\x28\xb5\x2f\xfd", "zstd-compressed; give it the extension .jsonl.zst or .tar.zst or unpack it"},
	{"---", "YAML is not supported; convert it to JSON"},
}

// notAnObject is why a document without fields is refused.
func notAnObject(raw []byte, cause error) error {
	text := bytes.TrimLeft(raw, " \t\r\n")
	if len(text) == 0 {
		return errors.New("the document is empty")
	}
	for _, f := range foreign {
		if bytes.HasPrefix(text, []byte(f.start)) {
			return errors.New(f.reason)
		}
	}
	if _, err := bundle.Canonical(raw); err != nil {
		return fmt.Errorf("not a JSON document: %w", err)
	}
	if text[0] == '[' {
		return errors.New("a JSON list; pass its elements one by one, as lines of a .jsonl file")
	}
	return fmt.Errorf("not evidence: %w", cause)
}
