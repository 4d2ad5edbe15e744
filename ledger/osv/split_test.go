package osv

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

// Whatever canonical JSON there is, it is taken apart as encoding/json does.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `null`, `7`, `"a"`, `{"a":1,"b":[1,{"c":"}"}],"\\\"":"\\"}`, `["\"","\\","]",[[]],{},-1.5e9,true]`,
		`{"":{"":{"":[]}},"\u0001":null}`, `["a\\\"b","\\\\"]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		canonical, err := bundle.Canonical(raw)
		if err != nil {
			return
		}
		var members map[string]json.RawMessage
		isObject := json.Unmarshal(canonical, &members) == nil && members != nil
		fields, ok := splitObject(canonical)
		require.Equal(t, isObject, ok)
		require.Len(t, fields, len(members))
		for _, f := range fields {
			require.Equal(t, string(members[f.key]), string(f.value))
		}
		var list []json.RawMessage
		isList := json.Unmarshal(canonical, &list) == nil && list != nil
		elements, ok := splitArray(canonical)
		require.Equal(t, isList, ok)
		require.Len(t, elements, len(list))
		for i := range elements {
			require.Equal(t, string(list[i]), string(elements[i]))
		}
		var text string
		isText := canonical[0] == '"' && json.Unmarshal(canonical, &text) == nil
		got, ok := textOf(canonical)
		require.Equal(t, isText, ok)
		require.Equal(t, text, got)
	})
}
