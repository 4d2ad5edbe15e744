package bundle

import (
	"fmt"
	"unicode/utf8"
)

// AppendText appends s as a JSON string in its one spelling (RFC 8785 section
// 3.2.2.2), for writers that know the order of their members and cannot afford
// to encode twice. It is MarshalCanonical(s); text that is not UTF-8 has no
// canonical form and is an error.
func AppendText(dst []byte, s string) ([]byte, error) {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		b := s[i]
		if plainByte[b] {
			i++
			continue
		}
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				return dst, fmt.Errorf("text %.80q is not valid UTF-8 at byte %d", s, i)
			}
			i += size
			continue
		}
		dst = append(dst, s[from:i]...)
		dst = appendCharacter(dst, rune(b))
		i++
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"'), nil
}
