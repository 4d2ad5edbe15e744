package signing

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

// scanner reads an envelope that has one form: fixed text with values between.
// It knows no JSON beyond that, so nothing that JSON leaves open - order,
// white space, escapes, duplicate or unknown keys - can get in.
type scanner struct {
	rest []byte
	read int
	err  error
}

// literal expects exactly text.
func (s *scanner) literal(text string) {
	if s.err != nil {
		return
	}
	if !bytes.HasPrefix(s.rest, []byte(text)) {
		s.err = fmt.Errorf("%w: want %q at byte %d", ErrEncoding, text, s.read)
		return
	}
	s.advance(len(text))
}

// value takes everything up to the next quote. Characters that JSON would
// have to escape are never part of a value.
func (s *scanner) value(name string) string {
	if s.err != nil {
		return ""
	}
	end := bytes.IndexByte(s.rest, '"')
	if end < 0 {
		s.err = fmt.Errorf("%w: %s does not end", ErrEncoding, name)
		return ""
	}
	value := string(s.rest[:end])
	s.advance(end)
	return value
}

// base64 takes a value in padded standard base64 (RFC 4648 §4) and refuses
// every other spelling of the same bytes.
func (s *scanner) base64(name string) []byte {
	text := s.value(name)
	if s.err != nil {
		return nil
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(text)
	// The decoder skips line ends; the length shows them.
	if err != nil || base64.StdEncoding.EncodedLen(len(decoded)) != len(text) {
		s.err = fmt.Errorf("%w: %s is not strict base64", ErrEncoding, name)
		return nil
	}
	return decoded
}

// end expects that nothing is left.
func (s *scanner) end() {
	if s.err == nil && len(s.rest) != 0 {
		s.err = fmt.Errorf("%w: %d bytes after the end", ErrEncoding, len(s.rest))
	}
}

func (s *scanner) advance(n int) {
	s.rest = s.rest[n:]
	s.read += n
}
