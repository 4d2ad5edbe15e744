package detect_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/detect"
)

func reader() func(ledger.Entry) (ledger.Observation, error) {
	one := func(name string) detect.Format {
		return detect.Format{
			Name:      name,
			Recognise: func(o ledger.Object) bool { return o.Has(name) },
			Parse: func(ledger.Entry) (ledger.Observation, error) {
				return ledger.Observation{}, errors.New("read as " + name)
			},
		}
	}
	return detect.Reader(one("one"), one("two"))
}

func TestOneLookDecides(t *testing.T) {
	for doc, want := range map[string]string{
		`{"two":1}`: "read as two", "\n { \"x\":{\"two\":1}, \"one\":[\"}\"] }": "read as one", `{"two":1,"one":1}`: "read as one",
		`{"x":{"one":1}}`: `in no known evidence format (one, two): its fields are "x"`, `{}`: "an empty object", ``: "empty", " \n": "empty",
		`{"ID":"x","Sources":[]}`: "manifest, not evidence", `{"updated_at":"x","packages":[]}`: "index, not evidence",
		"SPDXVersion: SPDX-2.3\n": "tag-value is not supported", "<?xml": "XML is not supported", "\xff\xfe{": "UTF-16", "\xef\xbb\xbf{}": "byte order mark",
		"PK\x03\x04": "zip", "---\na: b": "YAML", `[{}]`: "a JSON list", `"x"`: "not evidence", `{"x":`: "not a JSON document", `nonsense`: "not a JSON document",
		`{"x":1} {}`: "not a JSON document", strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000): "nested deeper",
		`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}`: `"e", ...`,
	} {
		_, err := reader()(ledger.Entry{Bytes: []byte(doc)})
		require.ErrorContains(t, err, want, "%.80q", doc)
		require.Less(t, len(err.Error()), 400)
	}
	_, err := reader()(ledger.Entry{Bytes: make([]byte, ledger.MaxDocument+1)})
	require.ErrorContains(t, err, "at most")
}

func FuzzReader(f *testing.F) {
	for _, doc := range []string{`{"one":1}`, `{"ID":1,"Sources":2}`, `[`, `<a/>`, `{"\u006fne":1}`} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := reader()(ledger.Entry{Bytes: raw})
		require.Error(t, err)
		require.Less(t, len(err.Error()), 1000)
	})
}
