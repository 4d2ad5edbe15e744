package feed_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger/feed"
)

func TestStandardInput(t *testing.T) {
	pretty := "{\n  \"a\": 1\r\n}\n"
	tape := makeTar(t, part{name: "a.json", content: "{}"})
	for name, tt := range map[string]struct{ input, want string }{
		"a document":         {pretty, "-||default|" + pretty},
		"one line":           {`{"a":1}`, `-|line 1|default|{"a":1}`},
		"lines":              {"{\"a\":1}\n{\"b\":1}\n", `-|line 1|default|{"a":1};-|line 2|default|{"b":1}`},
		"a broken line":      {"{\"a\":}\n{\"b\":1}\n", `-|line 1|default|{"a":};-|line 2|default|{"b":1}`},
		"nothing":            {"", ""},
		"compressed lines":   {compress(t, "{}\n{}\n"), "-|line 1|default|{};-|line 2|default|{}"},
		"a tar":              {tape, "-|a.json|default|{}"},
		"a compressed tar":   {compress(t, tape), "-|a.json|default|{}"},
		"a gzipped tar":      {gzipped(t, tape), "-|a.json|default|{}"},
		"a gzipped document": {gzipped(t, pretty), "-||default|" + pretty},
	} {
		t.Run(name, func(t *testing.T) {
			entries, rejections := read(t, feed.Reader{Stdin: strings.NewReader(tt.input)}, "-")
			require.Equal(t, tt.want, strings.Join(entries, ";"))
			require.Empty(t, rejections)
		})
	}
	_, rejections := read(t, feed.Reader{Stdin: strings.NewReader(makeZip(t))}, "-")
	require.Contains(t, rejections[0], "save it to a file")
	_, rejections = read(t, feed.Reader{}, "-")
	require.Len(t, rejections, 1)
}
