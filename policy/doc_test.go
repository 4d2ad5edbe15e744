package policy

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The pack that docs/policy.md shows is taken, and decides as it says.
func TestTheDocumentedPack(t *testing.T) {
	page := documented(t, "../docs/policy.md")
	block := regexp.MustCompile("(?s)```rego\n(.*?)```").FindStringSubmatch(page)
	require.NotNil(t, block)
	w := smallWorld()
	w.vex = nil
	out, _ := w.run(t, func(in *Input) { in.Pack = rulePack(t, block[1]) })
	for _, f := range out.findings(t) {
		want := Warn
		if f.Severity == "critical" {
			want = Block
		}
		require.Equal(t, want, f.Action)
	}
	require.Contains(t, page, "10 seconds")
	require.Equal(t, 10.0, evalTime.Seconds())
}

// Every member of a question, a finding and a snapshot is on its page, and what
// is refused by name is refused.
func TestEveryMemberIsDocumented(t *testing.T) {
	asked, formats := documented(t, "../docs/policy.md"), documented(t, "../docs/formats/json-policy.md")
	for _, name := range members(reflect.TypeFor[Question]()) {
		require.Regexp(t, `[.\x60{ ]`+name+`[\x60,}. ]`, asked, name)
	}
	for _, name := range slices.Concat(members(reflect.TypeFor[Finding]()), members(reflect.TypeFor[Trace]())) {
		require.Contains(t, formats+asked, name)
	}
	snapshot := members(reflect.TypeFor[Snapshot]())
	evidence := members(reflect.TypeFor[Evidence]())
	for _, name := range snapshot {
		if !slices.Contains(evidence, name) {
			require.Contains(t, formats, "`"+name+"`", name)
		}
	}
	paragraph := asked[strings.Index(asked, "## What is refused"):]
	for _, name := range regexp.MustCompile("`([a-z]+[a-z0-9_.]*\\.\\*|[a-z]+\\.[a-z_0-9]+|trace)`").FindAllStringSubmatch(paragraph[:strings.Index(paragraph, "```")], -1) {
		prefix, found := strings.TrimSuffix(name[1], "*"), false
		for builtin := range refusedBuiltins() {
			found = found || builtin == prefix || strings.HasSuffix(prefix, ".") && strings.HasPrefix(builtin, prefix)
		}
		require.True(t, found, "%s is none of the functions that are refused", name[1])
	}
}

func documented(t testing.TB, path string) string {
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(raw)
}

// members are the JSON names of a type's fields, at any depth.
func members(of reflect.Type) (names []string) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[json.RawMessage]() {
		return nil
	}
	for i := range of.NumField() {
		field := of.Field(i)
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
		names = append(names, members(field.Type)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
