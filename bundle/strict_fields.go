package bundle

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

var (
	jsonReader = reflect.TypeFor[json.Unmarshaler]()
	textReader = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// checkFields reads one value that will be decoded into a t and refuses
// members of structs that no field is named exactly for: encoding/json would
// match them in any case. The document is known to be well formed.
func checkFields(d *json.Decoder, t reflect.Type, path string) error {
	for t != nil && t.Kind() == reflect.Pointer && !readsItself(t) {
		t = t.Elem()
	}
	if t != nil && (readsItself(t) || readsItself(reflect.PointerTo(t))) {
		t = nil
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		return checkMembers(d, t, path)
	case json.Delim('['):
		return checkElements(d, t, path)
	}
	return nil
}

func readsItself(t reflect.Type) bool { return t.Implements(jsonReader) || t.Implements(textReader) }

func checkMembers(d *json.Decoder, t reflect.Type, path string) error {
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		var inner reflect.Type
		at := path + ".*"
		switch {
		case t == nil:
		case t.Kind() == reflect.Struct:
			known := false
			if inner, known = fieldsOf(t)[name]; !known {
				return fmt.Errorf("%s: unknown field %.80q", path, name)
			}
			at = path + "." + name
		case t.Kind() == reflect.Map:
			inner = t.Elem()
		}
		if err := checkFields(d, inner, at); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func checkElements(d *json.Decoder, t reflect.Type, path string) error {
	var inner reflect.Type
	if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		inner = t.Elem()
	}
	for d.More() {
		if err := checkFields(d, inner, path+"[]"); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

var fieldCache sync.Map // reflect.Type to map[string]reflect.Type

// fieldsOf gives the fields of struct t by their JSON names.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if cached, ok := fieldCache.Load(t); ok {
		return cached.(map[string]reflect.Type)
	}
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() || f.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fields[name] = f.Type
	}
	fieldCache.Store(t, fields)
	return fields
}
