package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// MarshalCanonical gives the RFC 8785 form of v, as encoding/json sees it. A
// string that is not UTF-8 is an error, never a replacement character.
func MarshalCanonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write %T as JSON: %w", v, err)
	}
	if at := replacementEscape(raw); at >= 0 {
		return nil, fmt.Errorf("write %T as JSON: %w", v, &JSONError{at, "a string is not valid UTF-8"})
	}
	out, err := Canonical(raw)
	if err != nil {
		return nil, fmt.Errorf("write %T as JSON: %w", v, err)
	}
	return out, nil
}

// replacementEscape finds the escape \ufffd, which encoding/json writes for an
// invalid byte and for nothing else: a genuine U+FFFD it writes as itself.
func replacementEscape(raw []byte) int {
	for i := 0; i+6 <= len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if string(raw[i:i+6]) == `\ufffd` {
			return i
		}
		i++ // the escaped character
	}
	return -1
}

// UnmarshalStrict reads one JSON document into v: every rule of Canonical,
// and every member must be a field of v under exactly that name. It reads what
// requests, manifests and signed payloads say, where a second key, a key in
// other case or an unknown field would mean two readers see two documents.
func UnmarshalStrict(raw []byte, v any) error {
	canonical, err := Canonical(raw)
	if err != nil {
		return err
	}
	if t := reflect.TypeOf(v); t != nil {
		walk := json.NewDecoder(bytes.NewReader(canonical))
		if err := checkFields(walk, t, "document"); err != nil {
			return err
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	return decoder.Decode(v)
}
