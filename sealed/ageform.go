package sealed

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
)

// The one form of an age header of ours: only X25519 stanzas, as many as there are
// recipients. Everything else age knows - passphrases, whose stanzas ask for a
// gigabyte of memory, keys of SSH, plugins - is refused before age sees it.
const (
	ageIntro  = "age-encryption.org/v1\n"
	ageBegins = "-> X25519 "
	ageMAC    = "--- "
	// ageField is 32 bytes in base64 without padding.
	ageField = 43
)

// checkAge reads the header of an age file for so many recipients. It needs no key.
func checkAge(src io.ReaderAt, recipients int) error {
	header := make([]byte, ageFixed+ageStanza*recipients)
	if err := readFull(src, header, 0); err != nil {
		return err
	}
	rest, ok := bytes.CutPrefix(header, []byte(ageIntro))
	if !ok {
		return fmt.Errorf("%w: it does not begin with %q", ErrForm, ageIntro)
	}
	for i := range recipients {
		rest, ok = ageLine(rest, ageBegins)
		if ok {
			rest, ok = ageLine(rest, "")
		}
		if !ok {
			return fmt.Errorf("%w: stanza %d of its age header is not of an X25519 recipient", ErrForm, i+1)
		}
	}
	if _, ok = ageLine(rest, ageMAC); !ok {
		return fmt.Errorf("%w: its age header does not end behind %d stanzas", ErrForm, recipients)
	}
	return nil
}

// ageLine cuts a line of prefix and a field off text.
func ageLine(text []byte, prefix string) (rest []byte, ok bool) {
	text, ok = bytes.CutPrefix(text, []byte(prefix))
	if !ok || len(text) <= ageField || text[ageField] != '\n' {
		return nil, false
	}
	var value [32]byte
	n, err := base64.RawStdEncoding.Strict().Decode(value[:], text[:ageField])
	return text[ageField+1:], err == nil && n == len(value)
}

// CheckForm holds a file against what can be known without a key: its length and, in
// mode age, its header. It gives the length of the plaintext.
func CheckForm(mode Mode, recipients int, src io.ReaderAt, size int64) (plain int64, err error) {
	if plain, err = mode.PlainSize(recipients, size); err != nil {
		return 0, err
	}
	if mode == ModeAge {
		err = checkAge(src, recipients)
	}
	return plain, err
}
