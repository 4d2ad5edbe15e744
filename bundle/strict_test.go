package bundle_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

type request struct {
	Tenant string            `json:"tenant"`
	Count  int64             `json:"count,omitempty"`
	Inner  *inner            `json:"inner,omitempty"`
	List   []inner           `json:"list,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	ByName map[string]inner  `json:"byName,omitempty"`
	Any    any               `json:"any,omitempty"`
	Raw    json.RawMessage   `json:"raw,omitempty"`
	Digest *bundle.Digest    `json:"digest,omitempty"`
	Plain  bool
	Hidden string `json:"-"`
	embedded
}

type embedded struct {
	Extra string `json:"extra,omitempty"`
}

type inner struct {
	ID string `json:"id"`
}

func TestUnmarshalStrictReads(t *testing.T) {
	var v request
	raw := ` {"tenant":"a","count":9007199254740992,"inner":{"id":"x"},"list":[{"id":"y"}],"labels":{"ID":"1","id":"2"},
		"byName":{"K":{"id":"z"}},"any":{"N":1e3,"n":[1]},"raw":{"A":1,"a":2},"Plain":true,"extra":"e",
		"digest":"` + bundle.DigestOf(nil).String() + `"} `
	require.NoError(t, bundle.UnmarshalStrict([]byte(raw), &v))
	require.Equal(t, "a", v.Tenant)
	require.EqualValues(t, 1<<53, v.Count)
	require.Equal(t, "x", v.Inner.ID)
	require.Equal(t, "y", v.List[0].ID)
	require.Equal(t, map[string]string{"ID": "1", "id": "2"}, v.Labels)
	require.Equal(t, "z", v.ByName["K"].ID)
	require.Equal(t, map[string]any{"N": json.Number("1e3"), "n": []any{json.Number("1")}}, v.Any)
	require.Equal(t, `{"A":1,"a":2}`, string(v.Raw))
	require.Equal(t, "e", v.Extra)
	require.True(t, v.Plain)
	require.Equal(t, bundle.DigestOf(nil), *v.Digest)

	var anything any
	require.NoError(t, bundle.UnmarshalStrict([]byte(`{"a":[1,{"B":2}]}`), &anything))
	var list []inner
	require.NoError(t, bundle.UnmarshalStrict([]byte(`[{"id":"x"}]`), &list))
}

func TestUnmarshalStrictRefuses(t *testing.T) {
	for name, c := range map[string]struct{ raw, why string }{
		"key in other case":           {`{"Tenant":"a"}`, `unknown field "Tenant"`},
		"both cases":                  {`{"tenant":"a","Tenant":"b"}`, `unknown field "Tenant"`},
		"case folding beyond ASCII":   {`{"list":[{"\u0131d":"x"}]}`, "unknown field"},
		"field by its Go name":        {`{"Count":1}`, `unknown field "Count"`},
		"unknown field":               {`{"tenant":"a","x":1}`, `unknown field "x"`},
		"unknown field inside":        {`{"inner":{"id":"x","y":1}}`, `document.inner: unknown field "y"`},
		"other case in a list":        {`{"list":[{"id":"x"},{"ID":"y"}]}`, `document.list[]: unknown field "ID"`},
		"other case in a map":         {`{"byName":{"k":{"Id":"x"}}}`, `unknown field "Id"`},
		"field that is never written": {`{"Hidden":"x"}`, "unknown field"},
		"duplicate key":               {`{"tenant":"a","tenant":"a"}`, "duplicate key"},
		"duplicate key in any":        {`{"any":{"k":1,"k":1}}`, "duplicate key"},
		"duplicate key in raw":        {`{"raw":{"k":1,"k":1}}`, "duplicate key"},
		"trailing document":           {`{"tenant":"a"}{}`, "after the document"},
		"trailing text":               {`{"tenant":"a"} x`, "after the document"},
		"empty":                       {``, "document ends"},
		"invalid UTF-8":               {"{\"tenant\":\"\xff\"}", "invalid UTF-8"},
		"lone surrogate":              {`{"tenant":"\ud800"}`, "lone surrogate"},
		"integer beyond 2^53":         {`{"any":9007199254740993}`, "2^53"},
		"integer beyond 2^53 as int":  {`{"count":9007199254740993}`, "2^53"},
		"fraction for an integer":     {`{"count":1.5}`, "count"},
		"wrong type":                  {`{"tenant":1}`, "tenant"},
		"digest in capitals":          {`{"digest":"sha256:` + strings.Repeat("A", 64) + `"}`, "digest"},
		"too deep":                    {`{"any":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, "nested deeper"},
		"100,000 deep":                {strings.Repeat("[", 100_000), "nested deeper"},
	} {
		t.Run(name, func(t *testing.T) {
			var v request
			require.ErrorContains(t, bundle.UnmarshalStrict([]byte(c.raw), &v), c.why)
		})
	}
	require.Error(t, bundle.UnmarshalStrict([]byte(`{}`), nil))
	require.Error(t, bundle.UnmarshalStrict([]byte(`{}`), request{}))
}

func TestMarshalCanonical(t *testing.T) {
	out, err := bundle.MarshalCanonical(request{Tenant: "<a>&\u2028", Labels: map[string]string{"b": "1", "a": "\ufffd"}, Raw: json.RawMessage(`{ "z":1.0 }`)})
	require.NoError(t, err)
	require.Equal(t, "{\"Plain\":false,\"labels\":{\"a\":\"\ufffd\",\"b\":\"1\"},\"raw\":{\"z\":1},\"tenant\":\"<a>&\u2028\"}", string(out))
	for name, v := range map[string]any{
		"text that is not UTF-8": map[string]string{"a": "b\xff"},
		"key that is not UTF-8":  map[string]int{"b\xff": 1},
		"integer beyond 2^53":    map[string]int64{"a": 1<<53 + 1},
		"cannot be JSON":         map[string]any{"a": func() {}},
		"raw with two keys":      json.RawMessage(`{"a":1,"a":1}`),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bundle.MarshalCanonical(v)
			require.Error(t, err)
		})
	}
	out, err = bundle.MarshalCanonical(map[string]string{"a": `\ufffd`, "b": `\\ufffd`})
	require.NoError(t, err, "a backslash followed by letters is no escape")
	require.Equal(t, `{"a":"\\ufffd","b":"\\\\ufffd"}`, string(out))
}

func FuzzUnmarshalStrict(f *testing.F) {
	for _, seed := range []string{
		`{"tenant":"a","inner":{"id":"x"},"list":[{"id":"y"}],"any":[1,{"a":null}]}`, `{"Tenant":"a"}`, `{"labels":{"a":"b"}}`, `[]`, `null`, `{"raw":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var v request
		if err := bundle.UnmarshalStrict(raw, &v); err != nil {
			return
		}
		// What was accepted says the same when it is written and read again.
		once, err := bundle.MarshalCanonical(v)
		if err != nil {
			t.Fatalf("%q was read but cannot be written: %v", raw, err)
		}
		var w request
		if err := bundle.UnmarshalStrict(once, &w); err != nil {
			t.Fatalf("%q was written but cannot be read: %v", once, err)
		}
		if twice, err := bundle.MarshalCanonical(w); err != nil || string(twice) != string(once) {
			t.Fatalf("%q became %q: %v", once, twice, err)
		}
	})
}

func ExampleUnmarshalStrict() {
	var v struct {
		Tenant string `json:"tenant"`
	}
	fmt.Println(bundle.UnmarshalStrict([]byte(`{"tenant":"acme","Tenant":"evil"}`), &v))
	// Output: document: unknown field "Tenant"
}
