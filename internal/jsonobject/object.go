// Package jsonobject reads JSON objects by their exact keys, where they lie:
// without a copy, in bounded memory, whatever they are made of.
package jsonobject

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Object is a JSON object by its exact keys, for the readers of evidence
// formats. Decoding into structs would take "ID" for "id"; a reader in another
// language would not. Its parts point into the text they were read from:
// nothing is copied, whatever a document of 64 MiB is made of.
type Object struct {
	parent *Object // the object around it, nil outside; for messages
	path   string  // "affected", the field of parent that holds it
	index  int     // 3 in "affected[3]", -1 outside lists
	fields []member
}

type member struct{ key, value []byte }

// Bounds of what is listed in memory, and of names in messages.
const (
	maxPath     = 120
	maxFields   = 10_000
	maxElements = 100_000
)

// usualFields is room for the fields of most objects.
const usualFields = 12

// Parse reads the object raw. path names it in messages, "" for the
// whole document.
func Parse(path string, raw []byte) (Object, error) {
	o := Object{path: path, index: -1}
	return o, o.parse(raw)
}

// within begins an object that field of o holds.
func (o Object) within(field string) Object { return Object{parent: &o, path: field, index: -1} }

func (o *Object) parse(raw []byte) error {
	if o.fields == nil {
		o.fields = make([]member, 0, usualFields)
	}
	o.fields = o.fields[:0]
	whole := eachPart(raw, '{', func(key, value []byte) bool {
		o.fields = append(o.fields, member{key, value})
		return len(o.fields) <= maxFields
	})
	switch {
	case len(o.fields) > maxFields:
		return fmt.Errorf("%s has too many fields, at most %d are taken", o.Name(""), maxFields)
	case !whole:
		return fmt.Errorf("%s is not an object", o.Name(""))
	}
	return nil
}

// Name is the full name of a field, or of the object itself for "", for messages.
func (o Object) Name(field string) string {
	own := o.path
	if o.parent != nil {
		own = o.parent.Name(o.path)
	}
	if o.index >= 0 {
		own += "[" + strconv.Itoa(o.index) + "]"
	}
	if len(own) > maxPath { // deep inside; both ends say enough
		own = own[:maxPath/2] + "..." + own[len(own)-maxPath/2:]
	}
	switch {
	case own == "" && field == "":
		return "the document"
	case own == "":
		return field
	case field == "":
		return own
	}
	return own + "." + field
}

// Keys lists the field names in the order of the text.
func (o Object) Keys() []string {
	keys := make([]string, len(o.fields))
	for i, f := range o.fields {
		keys[i] = string(f.key)
	}
	return keys
}

// Field gives a field's text, nil when it is absent.
func (o Object) Field(field string) []byte {
	for i := range o.fields {
		if string(o.fields[i].key) == field {
			return o.fields[i].value
		}
	}
	return nil
}

// Has reports whether there is such a field.
func (o Object) Has(field string) bool { return o.Field(field) != nil }

// Text gives a string field; found is false when it is absent.
func (o Object) Text(field string) (value string, found bool, err error) {
	raw := o.Field(field)
	if raw == nil {
		return "", false, nil
	}
	value, ok := TextOf(raw)
	if !ok {
		return "", false, fmt.Errorf("%s is not a string", o.Name(field))
	}
	return value, true, nil
}

// IsText reports whether raw, a part of a document that bundle.Canonical
// accepted, is a string.
func IsText(raw []byte) bool { return len(raw) >= 2 && raw[0] == '"' }

// TextOf gives the string that raw is.
func TextOf(raw []byte) (value string, ok bool) {
	if !IsText(raw) {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	return value, json.Unmarshal(raw, &value) == nil
}

// RequireText gives a string field that is there and not empty.
func (o Object) RequireText(field string) (string, error) {
	value, found, err := o.Text(field)
	if err != nil {
		return "", err
	}
	if !found || value == "" {
		return "", fmt.Errorf("%s is missing", o.Name(field))
	}
	return value, nil
}

// Object gives a field that is an object; found is false when it is absent or null.
func (o Object) Object(field string) (inner Object, found bool, err error) {
	raw := o.Field(field)
	if raw == nil || string(raw) == "null" {
		return inner, false, nil
	}
	return o.Inner(field)
}

// RequireObject gives a field that is there and an object.
func (o Object) RequireObject(field string) (Object, error) {
	inner, there, err := o.Object(field)
	if err == nil && !there {
		err = fmt.Errorf("%s is missing", o.Name(field))
	}
	return inner, err
}

// Inner is Object for a field that must be an object when it is there.
func (o Object) Inner(field string) (inner Object, found bool, err error) {
	raw := o.Field(field)
	if raw == nil {
		return inner, false, nil
	}
	inner = o.within(field)
	err = inner.parse(raw)
	return inner, err == nil, err
}

// Values calls yield with every element of an array field until yield fails;
// absent and null are empty.
func (o Object) Values(field string, yield func(index int, value []byte) error) error {
	raw := o.Field(field)
	if raw == nil || string(raw) == "null" {
		return nil
	}
	var err error
	index := 0
	whole := eachPart(raw, '[', func(_, value []byte) bool {
		err = yield(index, value)
		index++
		return err == nil
	})
	if err == nil && !whole {
		err = fmt.Errorf("%s is not a list", o.Name(field))
	}
	return err
}

// Each calls yield with every object of a field that is a list of objects. The
// object is valid until yield returns.
func (o Object) Each(field string, yield func(Object) error) error {
	if !o.Has(field) {
		return nil
	}
	inner := o.within(field)
	return o.Values(field, func(index int, value []byte) error {
		inner.index = index
		if err := inner.parse(value); err != nil {
			return err
		}
		return yield(inner)
	})
}

// CheckTexts checks what Texts gives, and keeps nothing.
func (o Object) CheckTexts(field string) error {
	return o.Values(field, func(index int, raw []byte) error { return o.checkText(field, index, raw) })
}

// checkText checks an element of a list of non-empty strings.
func (o Object) checkText(field string, index int, raw []byte) error {
	switch {
	case index == maxElements:
		return fmt.Errorf("%s has too many elements, at most %d are taken", o.Name(field), maxElements)
	case !IsText(raw) || len(raw) == len(`""`):
		return fmt.Errorf("%s[%d] is not a non-empty string", o.Name(field), index)
	}
	return nil
}

// Texts gives the elements of a field that is a list of non-empty strings.
func (o Object) Texts(field string) ([]string, error) {
	var values []string
	err := o.Values(field, func(index int, raw []byte) error {
		if err := o.checkText(field, index, raw); err != nil {
			return err
		}
		value, ok := TextOf(raw)
		if !ok {
			return fmt.Errorf("%s[%d] is not a non-empty string", o.Name(field), index)
		}
		values = append(values, value)
		return nil
	})
	return values, err
}

// TimeLayout is the one form of times in the ledger: UTC, nanoseconds.
const TimeLayout = "2006-01-02T15:04:05.000000000Z"

// NormalTime brings an RFC 3339 time into TimeLayout.
func NormalTime(field, value string) (string, error) {
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return "", fmt.Errorf("%s %.60q is not an RFC 3339 time", field, value)
	}
	utc := t.UTC()
	if utc.Year() < 0 || utc.Year() > 9999 {
		return "", fmt.Errorf("%s %.60q is outside the years 0000 to 9999", field, value)
	}
	return utc.Format(TimeLayout), nil
}

// Time gives a field that is a time in TimeLayout, "" when it is absent.
func (o Object) Time(field string) (string, error) {
	value, found, err := o.Text(field)
	if err != nil || !found {
		return "", err
	}
	return NormalTime(o.Name(field), value)
}
