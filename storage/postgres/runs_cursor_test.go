package postgres

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stella-ops/exportcenter/export"
)

const someID = "0195f000-0000-7000-8000-000000000001"

func TestCursorReadsOnlyWhatItWrites(t *testing.T) {
	good := cursor{at: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), id: someID}
	back, err := parseCursor(good.encode())
	if err != nil || back != good {
		t.Fatalf("got %v, %v, want %v", back, err, good)
	}
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, bad := range map[string]string{
		"no base64":         "%%%",
		"padded":            good.encode() + "=",
		"line break":        good.encode()[:10] + "\n" + good.encode()[10:],
		"spare bits":        good.encode()[:len(good.encode())-1] + "F",
		"cut":               good.encode()[:20],
		"too long":          strings.Repeat("A", 4096),
		"no id":             encode("1."),
		"id in capitals":    encode("1." + strings.ToUpper(someID)),
		"no time":           encode("." + someID),
		"signed time":       encode("+1." + someID),
		"leading zero":      encode("01." + someID),
		"before 1970":       encode("-1." + someID),
		"after 9999":        encode("253402300800." + someID),
		"beyond 64 bit":     encode("99999999999999999999." + someID),
		"something follows": encode("1." + someID + " "),
		"SQL":               encode("1." + someID + "' or '1'='1"),
	} {
		_, err := parseCursor(bad)
		var coded *export.Error
		if !errors.As(err, &coded) || coded.Code != export.CodeValidation || coded.Field != "cursor" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(cursor{at: time.Unix(1772323200, 0), id: someID}.encode())
	f.Add("")
	f.Add("MTAuMTA")
	f.Add(strings.Repeat("A", 200))
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCursor(s)
		if err != nil {
			if export.CodeOf(err) != export.CodeValidation {
				t.Fatalf("refused without a code: %v", err)
			}
			return
		}
		if c.encode() != s {
			t.Fatalf("%q is a second spelling of %q", s, c.encode())
		}
		if !export.ValidRunID(c.id) || c.at.Unix() < 0 || c.at.Year() > 9999 {
			t.Fatalf("%q became %v", s, c)
		}
	})
}
