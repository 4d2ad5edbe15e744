package osv

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// object is a JSON object by its exact keys. Decoding into structs would take
// "ID" for "id"; a reader in another language would not.
type object struct {
	path   string // "affected[3].package", for messages
	fields map[string]json.RawMessage
}

// Bounds of what is taken apart in memory: a document of 64 MiB may hold
// twenty million members, each of which would cost two hundred bytes.
const (
	maxFields   = 10_000
	maxElements = 100_000
)

// members counts the members of a JSON object or the elements of an array, by
// the commas on its own level. raw is canonical: valid, and without white space.
func members(raw []byte) int {
	if len(raw) <= len("{}") {
		return 0
	}
	count, depth, quoted := 1, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 1:
			count++
		}
	}
	return count
}

func parseObject(path string, raw []byte) (object, error) {
	o := object{path: path}
	if n := members(raw); n > maxFields {
		return o, fmt.Errorf("%s has %d fields, at most %d are taken", o.name(""), n, maxFields)
	}
	if err := json.Unmarshal(raw, &o.fields); err != nil || o.fields == nil {
		return o, fmt.Errorf("%s is not an object", o.name(""))
	}
	return o, nil
}

// name is the full name of a field, for messages.
func (o object) name(field string) string {
	switch {
	case o.path == "" && field == "":
		return "the document"
	case o.path == "":
		return field
	case field == "":
		return o.path
	}
	return o.path + "." + field
}

// text gives a string field; found is false when it is absent.
func (o object) text(field string) (value string, found bool, err error) {
	raw, ok := o.fields[field]
	if !ok {
		return "", false, nil
	}
	if len(raw) == 0 || raw[0] != '"' {
		return "", false, fmt.Errorf("%s is not a string", o.name(field))
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", false, fmt.Errorf("%s is not a string", o.name(field))
	}
	return value, true, nil
}

func (o object) requireText(field string) (string, error) {
	value, found, err := o.text(field)
	if err != nil {
		return "", err
	}
	if !found || value == "" {
		return "", fmt.Errorf("%s is missing", o.name(field))
	}
	return value, nil
}

// list gives the elements of an array field; absent and null are empty, as the
// schema allows.
func (o object) list(field string) ([]json.RawMessage, error) {
	raw, ok := o.fields[field]
	if !ok || bytes.Equal(raw, []byte("null")) {
		return nil, nil
	}
	if n := members(raw); n > maxElements {
		return nil, fmt.Errorf("%s has %d elements, at most %d are taken", o.name(field), n, maxElements)
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return nil, fmt.Errorf("%s is not a list", o.name(field))
	}
	return elements, nil
}

// objects gives the elements of a field that is a list of objects.
func (o object) objects(field string) ([]object, error) {
	elements, err := o.list(field)
	if err != nil {
		return nil, err
	}
	objects := make([]object, len(elements))
	for i, raw := range elements {
		if objects[i], err = parseObject(fmt.Sprintf("%s[%d]", o.name(field), i), raw); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// texts gives the elements of a field that is a list of non-empty strings.
func (o object) texts(field string) ([]string, error) {
	elements, err := o.list(field)
	if err != nil {
		return nil, err
	}
	values := make([]string, len(elements))
	for i, raw := range elements {
		if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &values[i]) != nil || values[i] == "" {
			return nil, fmt.Errorf("%s[%d] is not a non-empty string", o.name(field), i)
		}
	}
	return values, nil
}
