package bundle

import (
	"math"
	"strconv"
)

// maxInteger is the greatest magnitude of an integer that float64, and so
// every JSON reader, holds exactly together with its neighbours: 2^53.
const maxInteger = 1 << 53

// plainBelow is where ECMAScript begins to write an exponent. A number between
// 2^53 and this, however it was spelled, would be written as an integer that
// number refuses: canonical forms would not be canonical forms.
const plainBelow = 1e21

// number reads a number and writes its one spelling (RFC 8785 section 3.2.2.3,
// which is ECMAScript's).
func (c *canonizer) number() error {
	start := c.pos
	i := start
	if c.in[i] == '-' {
		i++
	}
	digits := i
	i = digitRun(c.in, i)
	if i == digits || c.in[digits] == '0' && i > digits+1 {
		return c.fail(start, "not a number")
	}
	integer := true
	if i < len(c.in) && c.in[i] == '.' {
		integer = false
		fraction := i + 1
		if i = digitRun(c.in, fraction); i == fraction {
			return c.fail(start, "number without digits after its point")
		}
	}
	if i < len(c.in) && (c.in[i] == 'e' || c.in[i] == 'E') {
		integer = false
		i++
		if i < len(c.in) && (c.in[i] == '+' || c.in[i] == '-') {
			i++
		}
		exponent := i
		if i = digitRun(c.in, i); i == exponent {
			return c.fail(start, "number without digits in its exponent")
		}
	}
	c.pos = i
	if integer {
		return c.integer(start, digits)
	}
	f, err := strconv.ParseFloat(string(c.in[start:i]), 64)
	if err != nil {
		return c.fail(start, "number does not fit a 64-bit float")
	}
	if abs := math.Abs(f); abs > maxInteger && abs < plainBelow {
		return c.fail(start, "number that is written as an integer beyond 2^53; write it as a string")
	}
	c.out = appendNumber(c.out, f)
	return nil
}

func digitRun(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

// integer writes the integer from start to pos, whose digits begin at digits.
func (c *canonizer) integer(start, digits int) error {
	token := c.in[digits:c.pos]
	if len(token) > 15 {
		if n, err := strconv.ParseUint(string(token), 10, 64); err != nil || n > maxInteger {
			return c.fail(start, "integer beyond 2^53; write it as a string")
		}
	}
	if len(token) == 1 && token[0] == '0' {
		start = digits // -0 is 0
	}
	c.out = append(c.out, c.in[start:c.pos]...)
	return nil
}

// appendNumber writes f as ECMAScript's Number::toString does.
func appendNumber(dst []byte, f float64) []byte {
	if f == 0 {
		return append(dst, '0')
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < plainBelow {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	// Go writes at least two exponent digits, ECMAScript as few as possible.
	if n := len(dst); dst[n-2] == '0' && (dst[n-3] == '-' || dst[n-3] == '+') {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}
