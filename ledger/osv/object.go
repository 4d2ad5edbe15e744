package osv

import (
	"fmt"
	"strconv"
)

// object is a JSON object by its exact keys. Decoding into structs would take
// "ID" for "id"; a reader in another language would not.
type object struct {
	path   string // "affected[3].package", for messages
	fields []field
}

// field is a member of an object; value is its canonical JSON.
type field struct {
	key   string
	value []byte
}

// get gives the value of a key, nil when it is absent. Objects have few keys.
func (o object) get(key string) []byte {
	for _, f := range o.fields {
		if f.key == key {
			return f.value
		}
	}
	return nil
}

// Bounds of what is taken apart in memory: a document of 64 MiB may hold
// twenty million members, each of which would cost two hundred bytes.
const (
	maxFields   = 10_000
	maxElements = 100_000
)

func parseObject(path string, raw []byte) (object, error) {
	o := object{path: path}
	if n := members(raw); n > maxFields {
		return o, fmt.Errorf("%s has %d fields, at most %d are taken", o.name(""), n, maxFields)
	}
	fields, ok := splitObject(raw)
	if !ok {
		return o, fmt.Errorf("%s is not an object", o.name(""))
	}
	o.fields = fields
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
	raw := o.get(field)
	if raw == nil {
		return "", false, nil
	}
	value, ok := textOf(raw)
	if !ok {
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
func (o object) list(field string) ([][]byte, error) {
	raw := o.get(field)
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	if n := members(raw); n > maxElements {
		return nil, fmt.Errorf("%s has %d elements, at most %d are taken", o.name(field), n, maxElements)
	}
	elements, ok := splitArray(raw)
	if !ok {
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
		if objects[i], err = parseObject(o.name(field)+"["+strconv.Itoa(i)+"]", raw); err != nil {
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
		var ok bool
		if values[i], ok = textOf(raw); !ok || values[i] == "" {
			return nil, fmt.Errorf("%s[%d] is not a non-empty string", o.name(field), i)
		}
	}
	return values, nil
}
