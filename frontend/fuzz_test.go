package frontend

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// Whatever arrives, the decoder answers with an entry within bounds or with a
// reason that can be shown.
func FuzzDecodeRecord(f *testing.F) {
	for _, seed := range []string{
		`{"source":"osv","stream":"npm","file":"f","entry":"line 1","mediaType":"application/json","bytes":"e30="}`,
		`{"bytes":""}`, `{"bytes":null}`, `{"bytes":"e30"}`, `{"bytes":"e3\n0="}`, `{"bytes":[1,2]}`, `null`, `[]`, `{}`,
		`{"bytes":"e30=","bytes":"e30="}`, `{"Bytes":"e30="}`, "{\"file\":\"\xff\"}", `{"file":"\ud800","bytes":"e30="}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		entry, err := decodeRecord(line)
		if len(entry.File) > maxNameText || len(entry.Name) > maxNameText {
			t.Fatal("a name came back longer than its bound")
		}
		if err != nil {
			if err.Error() == "" {
				t.Fatal("no reason")
			}
			return
		}
		if len(entry.Bytes) > ledger.MaxDocument || !utf8.ValidString(entry.Source+entry.Stream+entry.File+entry.Name) {
			t.Fatal("an entry beyond its bounds")
		}
		if _, err := bundle.Canonical(line); err != nil {
			t.Fatalf("accepted what is not strict JSON: %v", err)
		}
	})
}

// Lines come back whole, in order and within the limit, however the stream is cut.
func FuzzLineReader(f *testing.F) {
	f.Add([]byte("a\nbb\r\n\nccccc\n"), 4)
	f.Add([]byte("no end"), 100)
	f.Fuzz(func(t *testing.T, stream []byte, limit int) {
		if limit < 1 || limit > 1<<16 {
			return
		}
		r := newLineReader(bytes.NewReader(stream), limit)
		for expected := range bytes.Lines(stream) {
			long := len(expected) > limit+len("\r\n") // whatever its end is made of
			expected = bytes.TrimRight(expected, "\r\n")
			if long = long || len(expected) > limit; len(expected) == 0 && !long {
				continue
			}
			line, err := r.next()
			switch {
			case errors.Is(err, errLongLine):
				if !long {
					t.Fatalf("a line of %d bytes is within %d", len(expected), limit)
				}
			case err != nil:
				t.Fatal(err)
			case !bytes.Equal(line, expected):
				t.Fatalf("read %q, want %q", line, expected)
			case len(line) > limit:
				t.Fatalf("%d bytes beyond the limit of %d", len(line), limit)
			}
		}
		if line, err := r.next(); !errors.Is(err, io.EOF) {
			t.Fatalf("at the end: %q, %v", line, err)
		}
	})
}

// The header of a token is decoded before its signature is known.
func FuzzReadHeader(f *testing.F) {
	f.Add("eyJhbGciOiJFUzI1NiJ9.e30.AA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		header, err := readHeader(token)
		if err == nil {
			if _, allowed := tokenAlgorithms[header.Algorithm]; !allowed {
				t.Fatalf("algorithm %q let through", header.Algorithm)
			}
		}
	})
}

// The fast reader of plain records accepts nothing that the strict decoder
// refuses, and reads the same.
func FuzzPlainRecord(f *testing.F) {
	for _, seed := range []string{
		`{"source":"osv","bytes":"e30="}`, `{"bytes":"e30=","entry":"ü"}`, `{"bytes":"e31="}`, `{"bytes":""}`,
		`{"file":"a","file":"","bytes":"e30="}`, `{"bytes":"e30=",}`, `{,"bytes":"e30="}`, `{"bytes":"e30="}}`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		fast, plain := plainRecord(line)
		if !plain {
			return
		}
		var strict importRecord
		if err := bundle.UnmarshalStrict(line, &strict); err != nil {
			t.Fatalf("%q is refused by the strict decoder: %v", line, err)
		}
		if !reflect.DeepEqual(fast, strict) {
			t.Fatalf("%q: read %v, want %v", line, fast, strict)
		}
	})
}

// A large record is read as every other one is, or refused for its size beside
// the document or for escapes inside its bytes.
func FuzzLargeRecord(f *testing.F) {
	for _, seed := range []string{
		`{"source":"osv","bytes":"e30="}`, `{ "bytes" : "e30=" , "entry":"\u00fc"}`, `{"bytes":"e31="}`, `{"bytes":""}`, `{"bytes":null}`,
		`{"bytes":"e3\n0="}`, `{"bytes":"e30=","bytes":"e30="}`, `{"bytes":"e30="}}`, `{"bytes":{"bytes":"e30="}}`, "{\"bytes\":\"e3\r0=\"}",
		`{"byt\u0065s":"e30="}`, `{"bytes":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		want, wantErr := decodeRecord(bytes.Clone(line))
		got, err := decodeLargeRecord(bytes.Clone(line))
		if err != nil {
			if wantErr == nil && !bytes.Contains(line, []byte(`\`)) && len(line) < maxRecordNames {
				t.Fatalf("%q: %v", line, err)
			}
			return
		}
		if wantErr != nil {
			t.Fatalf("%q is taken, although %v", line, wantErr)
		}
		if !bytes.Equal(got.Bytes, want.Bytes) {
			t.Fatalf("%q: decoded %q, want %q", line, got.Bytes, want.Bytes)
		}
		got.Bytes, want.Bytes = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: read %v, want %v", line, got, want)
		}
	})
}
