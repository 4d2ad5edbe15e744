package ledger

import "github.com/stella-ops/exportcenter/internal/jsonobject"

// Object is a JSON object by its exact keys, for the readers of evidence
// formats.
type Object = jsonobject.Object

// ParseObject reads the object raw. path names it in messages, "" for the
// whole document.
func ParseObject(path string, raw []byte) (Object, error) { return jsonobject.Parse(path, raw) }

// IsText reports whether raw, a part of a document that bundle.Canonical
// accepted, is a string.
func IsText(raw []byte) bool { return jsonobject.IsText(raw) }

// TextOf gives the string that raw is.
func TextOf(raw []byte) (value string, ok bool) { return jsonobject.TextOf(raw) }

// FieldOf gives the text of one member of a canonical object, nil when there is
// none.
func FieldOf(canonical []byte, field string) []byte { return jsonobject.FieldOf(canonical, field) }

// FieldAt is FieldOf along a path of members.
func FieldAt(canonical []byte, path ...string) []byte { return jsonobject.FieldAt(canonical, path...) }

// EachElement calls yield with the elements of a canonical list until it gives
// false; anything else has none.
func EachElement(canonical []byte, yield func(element []byte) bool) {
	jsonobject.EachElement(canonical, yield)
}

// NormalTime brings an RFC 3339 time into ModifiedLayout.
func NormalTime(field, value string) (string, error) { return jsonobject.NormalTime(field, value) }
