package jsonobject_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/jsonobject"
)

func TestObjectPoints(t *testing.T) {
	doc, err := jsonobject.Parse("", []byte(" { \"a\" : \"x\\n\" ,\n\"k\\u0031\":[ {\"b\":1}, {} ],\"o\":{\"t\":[\"1\",\"\"]}, \"n\":null }\n"))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "k1", "o", "n"}, doc.Keys())
	text, found, err := doc.Text("a")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "x\n", text)
	_, _, err = doc.Text("k1")
	require.EqualError(t, err, "k1 is not a string")
	var names []string
	require.NoError(t, doc.Each("k1", func(o jsonobject.Object) error { names = append(names, o.Name("b")); return nil }))
	require.Equal(t, []string{"k1[0].b", "k1[1].b"}, names)
	require.NoError(t, doc.Each("n", func(jsonobject.Object) error { t.Fatal("null has elements"); return nil }))
	inner, found, err := doc.Object("o")
	require.NoError(t, err)
	require.True(t, found)
	_, err = inner.Texts("t")
	require.EqualError(t, err, "o.t[1] is not a non-empty string")
	_, found, err = doc.Object("n")
	require.NoError(t, err)
	require.False(t, found)
	require.EqualError(t, doc.Each("a", nil), "a is not a list")
}

func TestWhatIsNotAnObject(t *testing.T) {
	for _, raw := range []string{``, ` `, `[]`, `1`, `"{"`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a" 1}`, `{a:1}`, `{"a":}`, `{"a":[}`, `{"a":"\`} {
		_, err := jsonobject.Parse("x", []byte(raw))
		require.EqualError(t, err, "x is not an object", "%q", raw)
	}
	many := append(append([]byte(`{"a":1`), bytes.Repeat([]byte(`,"b":1`), 10_000)...), '}')
	_, err := jsonobject.Parse("", many)
	require.ErrorContains(t, err, "fields")
}

// On valid JSON the reader and the standard library see the same fields.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,"]",{"b":"\\\""}],"c":{"d":null}}`, `{"\u0061":-1e3 , "é" : true}`, `[`, `{"a":`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = jsonobject.Parse("", raw) // whatever it is, it does not panic
		canonical, err := bundle.Canonical(raw)
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if json.Unmarshal(canonical, &want) != nil || want == nil {
			_, err := jsonobject.Parse("", canonical)
			require.Error(t, err)
			return
		}
		for _, text := range [][]byte{raw, canonical} {
			doc, err := jsonobject.Parse("", text)
			require.NoError(t, err)
			require.Len(t, doc.Keys(), len(want))
			for key, value := range want {
				own, err := bundle.Canonical(doc.Field(key))
				require.NoError(t, err)
				require.Equal(t, string(value), string(own))
			}
		}
	})
}

// A string ends at the first quote that no odd run of backslashes escapes.
func TestStringsEndWhereTheyEnd(t *testing.T) {
	for _, text := range []string{``, `a`, `\\`, `\"`, `\\\"`, `a\\\\`, `\"\"\\`, `\\\\\"b`, strings.Repeat(`\\`, 1000), strings.Repeat(`\"`, 1000)} {
		doc, err := jsonobject.Parse("", []byte(`{"a":"`+text+`","`+text+`":1}`))
		require.NoError(t, err, "%.40q", text)
		require.Equal(t, `"`+text+`"`, string(doc.Field("a")))
		require.Len(t, doc.Keys(), 2)
	}
	for _, text := range []string{`\`, `\\\`, `a\"\`} {
		_, err := jsonobject.Parse("", []byte(`{"a":"`+text+`"}`))
		require.Error(t, err, text)
	}
}
