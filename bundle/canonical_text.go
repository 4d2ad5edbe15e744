package bundle

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a string and writes its one spelling; escaped reports whether
// that contains a backslash.
func (c *canonizer) text() (escaped bool, err error) {
	start := c.pos + 1
	i := plainRun(c.in, start)
	if i < len(c.in) && c.in[i] == '"' {
		c.out = append(c.out, c.in[c.pos:i+1]...)
		c.pos = i + 1
		return false, nil
	}
	return c.richText(start, i)
}

// richText is text for strings with escapes or non-ASCII characters; the
// bytes from start to i are known to be plain.
func (c *canonizer) richText(start, i int) (escaped bool, err error) {
	c.out = append(c.out, '"')
	from := start
	for i < len(c.in) {
		switch b := c.in[i]; {
		case b == '"':
			c.out = append(c.out, c.in[from:i+1]...)
			c.pos = i + 1
			return escaped, nil
		case b == '\\':
			c.out = append(c.out, c.in[from:i]...)
			wrote := false
			if i, wrote, err = c.escape(i); err != nil {
				return false, err
			}
			escaped = escaped || wrote
			from = i
		case b < 0x20:
			return false, c.fail(i, "control character 0x%02x in a string", b)
		case b >= utf8.RuneSelf:
			_, size := utf8.DecodeRune(c.in[i:])
			if size == 1 {
				return false, c.fail(i, "invalid UTF-8")
			}
			i += size
		}
		i = plainRun(c.in, i)
	}
	return false, c.fail(start-1, "string without an end")
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// plainRun gives the index of the first byte at or after i that is a quote, a
// backslash, a control character or not ASCII; eight bytes at a time.
func plainRun(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote := w ^ '"'*lowBits
		slash := w ^ '\\'*lowBits
		special := w | (w - 0x20*lowBits) | (quote - lowBits) | (slash - lowBits)
		if special &= highBits; special != 0 {
			// A borrow can only come from a special byte, so the lowest
			// marked byte is really one.
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for i < len(b) && plainByte[b[i]] {
		i++
	}
	return i
}

var plainByte = func() (plain [256]bool) {
	for b := 0x20; b < utf8.RuneSelf; b++ {
		plain[b] = b != '"' && b != '\\'
	}
	return plain
}()

// escape reads the escape at i, writes its character in its one spelling and
// gives the index after it; wrote reports whether that is an escape again.
func (c *canonizer) escape(i int) (next int, wrote bool, err error) {
	if i+1 >= len(c.in) {
		return 0, false, c.fail(i, "string without an end")
	}
	switch b := c.in[i+1]; b {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		c.out = append(c.out, '\\', b)
		return i + 2, true, nil
	case '/':
		c.out = append(c.out, '/')
		return i + 2, false, nil
	case 'u':
		return c.unicodeEscape(i)
	}
	return 0, false, c.fail(i, "unknown escape \\%q", c.in[i+1])
}

func (c *canonizer) unicodeEscape(i int) (next int, wrote bool, err error) {
	r, ok := hex4(c.in, i)
	if !ok {
		return 0, false, c.fail(i, "\\u needs four hexadecimal digits")
	}
	next = i + 6
	if utf16.IsSurrogate(r) {
		low, ok := hex4(c.in, next)
		if !ok {
			low = 0
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return 0, false, c.fail(i, "lone surrogate")
		}
		next += 6
	}
	before := len(c.out)
	c.out = appendCharacter(c.out, r)
	return next, c.out[before] == '\\', nil
}

// hex4 reads the \uXXXX at i.
func hex4(b []byte, i int) (rune, bool) {
	if i+6 > len(b) || b[i] != '\\' || b[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, d := range b[i+2 : i+6] {
		switch {
		case d >= '0' && d <= '9':
			d -= '0'
		case d >= 'a' && d <= 'f':
			d -= 'a' - 10
		case d >= 'A' && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

const hexDigits = "0123456789abcdef"

// appendCharacter writes r as RFC 8785 section 3.2.2.2 wants it.
func appendCharacter(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if r < 0x20 {
		return append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
	}
	return utf8.AppendRune(dst, r)
}

// appendDecoded appends the characters that encoded, the inside of a string
// we wrote, stands for.
func appendDecoded(dst, encoded []byte) []byte {
	for i := 0; i < len(encoded); i++ {
		b := encoded[i]
		if b != '\\' {
			dst = append(dst, b)
			continue
		}
		i++
		switch encoded[i] {
		case 'b':
			b = '\b'
		case 'f':
			b = '\f'
		case 'n':
			b = '\n'
		case 'r':
			b = '\r'
		case 't':
			b = '\t'
		case 'u':
			r, _ := hex4(encoded, i-1)
			b = byte(r)
			i += 4
		default:
			b = encoded[i]
		}
		dst = append(dst, b)
	}
	return dst
}
