package jsonobject

// FieldOf gives the text of one member of a canonical object, nil when there is
// none. Members are ordered, so it reads no further than it has to.
func FieldOf(canonical []byte, field string) (value []byte) {
	eachPart(canonical, '{', func(key, part []byte) bool {
		if string(key) == field {
			value = part
		}
		return value == nil
	})
	return value
}

// FieldAt is FieldOf along a path of members.
func FieldAt(canonical []byte, path ...string) []byte {
	for _, field := range path {
		if canonical = FieldOf(canonical, field); canonical == nil {
			return nil
		}
	}
	return canonical
}

// EachElement calls yield with the elements of a canonical list until it gives
// false; anything else has none.
func EachElement(canonical []byte, yield func(element []byte) bool) {
	eachPart(canonical, '[', func(_, element []byte) bool { return yield(element) })
}
