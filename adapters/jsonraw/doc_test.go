package jsonraw

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// The page names every member of a line, and its redaction is one.
func TestThePageAndTheCodeAgree(t *testing.T) {
	text, err := os.ReadFile("../../docs/formats/json-raw.md")
	require.NoError(t, err)
	page := string(text)

	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(page)
	require.NotNil(t, example)
	var redaction export.Redaction
	require.NoError(t, bundle.UnmarshalStrict([]byte(example[1]), &redaction))
	require.NoError(t, redaction.Validate())

	p, err := Adapter{}.Packer(export.Options{Redaction: &export.Redaction{PolicyID: "p", Linkset: []string{"products"}, Allow: map[string][]string{"vex": {"*"}}}})
	require.NoError(t, err)
	var out writtenLine
	_, err = p.Write(&out, ledger.Line{Row: ledger.Row{Kind: ledger.KindVEX, Subject: "s"}, Modified: "m", Canonical: []byte(`{}`)})
	require.NoError(t, err)
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.text, &line))
	for name, value := range line {
		members, nested := value.(map[string]any)
		if !nested {
			require.Contains(t, page, "`"+name+"`")
		}
		for inner := range members {
			require.True(t, strings.Contains(page, "`"+name+"."+inner+"`"), "%s.%s", name, inner)
		}
	}
	for _, says := range []string{"At most 1,000 paths", "512 bytes and 32 steps"} {
		require.Contains(t, page, says)
	}
	require.Equal(t, 1000, export.MaxRedactionPaths)
}

type writtenLine struct{ text []byte }

func (p *writtenLine) WriteLine(parts ...[]byte) error {
	for _, part := range parts {
		p.text = append(p.text, part...)
	}
	return nil
}
