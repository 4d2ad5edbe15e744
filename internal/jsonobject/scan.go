package jsonobject

import (
	"bytes"
	"encoding/json"
)

// What is here takes JSON apart without copying it. It is no validator: on
// text that bundle.Canonical accepted it is exact, on anything else it either
// gives up or gives back parts of the text, and never reads outside it.

func skipSpace(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\n' || raw[at] == '\r' || raw[at] == '\t') {
		at++
	}
	return at
}

// skipString gives the place behind the string that begins at raw[at].
func skipString(raw []byte, at int) (int, bool) {
	for at++; at < len(raw); {
		next := bytes.IndexByte(raw[at:], '"')
		if next < 0 {
			break
		}
		end := at + next
		slashes := 0
		for end-slashes > at && raw[end-slashes-1] == '\\' {
			slashes++
		}
		if at = end + 1; slashes%2 == 0 { // else the last one escapes the quote
			return at, true
		}
	}
	return len(raw), false
}

// skipValue gives the place behind the value that begins at raw[at].
func skipValue(raw []byte, at int) (int, bool) {
	depth := 0
	for at < len(raw) {
		switch raw[at] {
		case '"':
			end, ok := skipString(raw, at)
			if !ok {
				return at, false
			}
			if at = end; depth == 0 {
				return at, true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return at, true // of the value around this one
			}
			if depth--; depth == 0 {
				return at + 1, true
			}
		case ',', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return at, true
			}
		}
		at++
	}
	return at, depth == 0
}

// eachPart calls yield with the parts of the array or object raw until yield
// gives false. It reports whether raw is whole; keys are nil in arrays.
func eachPart(raw []byte, open byte, yield func(key, value []byte) bool) bool {
	at := skipSpace(raw, 0)
	if at == len(raw) || raw[at] != open {
		return false
	}
	end := byte(']')
	if open == '{' {
		end = '}'
	}
	if at = skipSpace(raw, at+1); at < len(raw) && raw[at] == end {
		return true
	}
	for at < len(raw) {
		var key []byte
		if open == '{' {
			var ok bool
			if key, at, ok = keyAt(raw, at); !ok {
				return false
			}
		}
		stop, ok := skipValue(raw, at)
		if !ok || stop == at {
			return false
		}
		if !yield(key, raw[at:stop]) {
			return true
		}
		if at = skipSpace(raw, stop); at == len(raw) || raw[at] != ',' {
			return at < len(raw) && raw[at] == end
		}
		at = skipSpace(raw, at+1)
	}
	return false
}

// keyAt gives the key at raw[at] and the place of its value.
func keyAt(raw []byte, at int) (key []byte, value int, ok bool) {
	if raw[at] != '"' {
		return nil, at, false
	}
	end, ok := skipString(raw, at)
	if !ok {
		return nil, at, false
	}
	if key = raw[at+1 : end-1]; bytes.IndexByte(key, '\\') >= 0 {
		var text string
		if json.Unmarshal(raw[at:end], &text) != nil {
			return nil, at, false
		}
		key = []byte(text)
	}
	if end = skipSpace(raw, end); end == len(raw) || raw[end] != ':' {
		return nil, at, false
	}
	return key, skipSpace(raw, end+1), true
}
