package osv

import (
	"bytes"
	"encoding/json"
)

// What is below takes canonical JSON apart: the bytes bundle.Canonical wrote,
// so they are valid, without white space and without two members of one key.
// That makes the end of a value a matter of counting brackets, and only what
// is asked for is looked at again.

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

// splitObject gives the members of an object; false when raw is none.
func splitObject(raw []byte) ([]field, bool) {
	if len(raw) < len("{}") || raw[0] != '{' {
		return nil, false
	}
	fields := make([]field, 0, 8)
	for rest := raw[1:]; rest[0] != '}'; {
		end := valueEnd(rest)
		key, ok := textOf(rest[:end])
		if !ok || end+1 >= len(rest) || rest[end] != ':' {
			return nil, false
		}
		rest = rest[end+1:]
		end = valueEnd(rest)
		fields = append(fields, field{key, rest[:end]})
		if rest = rest[end:]; len(rest) == 0 {
			return nil, false
		}
		if rest[0] == ',' && len(rest) > 1 {
			rest = rest[1:]
		}
	}
	return fields, true
}

// splitArray gives the elements of an array; false when raw is none.
func splitArray(raw []byte) ([][]byte, bool) {
	if len(raw) < len("[]") || raw[0] != '[' {
		return nil, false
	}
	var elements [][]byte
	for rest := raw[1:]; rest[0] != ']'; {
		end := valueEnd(rest)
		elements = append(elements, rest[:end])
		if rest = rest[end:]; end == 0 || len(rest) == 0 {
			return nil, false
		}
		if rest[0] == ',' && len(rest) > 1 {
			rest = rest[1:]
		}
	}
	return elements, true
}

// valueEnd gives the index behind the value at the beginning of b.
func valueEnd(b []byte) int {
	switch b[0] {
	case '"':
		return textEnd(b)
	case '{', '[':
		depth := 0
		for i := 0; i < len(b); i++ {
			switch b[i] {
			case '"':
				i += textEnd(b[i:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return len(b)
	}
	if end := bytes.IndexAny(b, ",]}"); end >= 0 {
		return end
	}
	return len(b)
}

// textEnd gives the index behind the string at the beginning of b.
func textEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		quote := bytes.IndexByte(b[i:], '"')
		if quote < 0 {
			break
		}
		i += quote
		slashes := 0
		for b[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
	return len(b)
}

// textOf reads a string; false when raw is none.
func textOf(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return "", false
	}
	inside := raw[1 : len(raw)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return string(inside), true
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}
