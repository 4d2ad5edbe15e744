package jsonraw

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

const advisory = `{"affected":[{"ecosystem_specific":{"secret":1},"package":{"ecosystem":"npm","name":"a"},"ranges":[{"events":[{"introduced":"0"}],"type":"SEMVER"}]},{"versions":["1"]},7],` +
	`"aliases":["CVE-1"],"database_specific":{"a.b":[[1,"x"],[2]],"severity":"HIGH"},"details":"long \"text\" with {braces] and, commas\\","id":"X","summary":""}`

func redacted(t *testing.T, doc string, paths ...string) (string, int64) {
	t.Helper()
	tree, err := allowed(paths)
	require.NoError(t, err)
	out, dropped, err := tree.redact(nil, []byte(doc))
	require.NoError(t, err)
	require.True(t, json.Valid(out), "%s", out)
	return string(out), dropped
}

func TestOnlyWhatIsAllowedStays(t *testing.T) {
	for _, tt := range []struct {
		paths   []string
		want    string
		dropped int64
	}{
		{[]string{"id"}, `{"id":"X"}`, 5},
		{[]string{"none"}, `{}`, 6},
		{[]string{"id", "affected[].package"}, `{"affected":[{"package":{"ecosystem":"npm","name":"a"}},{}],"id":"X"}`, 4 + 2 + 1 + 1},
		{[]string{"affected[].package.name", "aliases"}, `{"affected":[{"package":{"name":"a"}},{}],"aliases":["CVE-1"]}`, 4 + 2 + 1 + 1 + 1},
		{[]string{"affected[]"}, `{"affected":[{"ecosystem_specific":{"secret":1},"package":{"ecosystem":"npm","name":"a"},"ranges":[{"events":[{"introduced":"0"}],"type":"SEMVER"}]},{"versions":["1"]},7]}`, 5},
		{[]string{`database_specific."a.b"[][]`}, `{"database_specific":{"a.b":[[1,"x"],[2]]}}`, 6},
		{[]string{`database_specific."a.b"[].x`}, `{"database_specific":{"a.b":[]}}`, 5 + 1 + 2},
		// A value of another kind than the path expects is not what was allowed.
		{[]string{"id.x", "affected.package", "details[]", "aliases.x", "summary"}, `{"summary":""}`, 5},
		// A path within another adds nothing to it.
		{[]string{"database_specific", "database_specific.severity"}, `{"database_specific":{"a.b":[[1,"x"],[2]],"severity":"HIGH"}}`, 5},
		{[]string{"affected", "aliases", "database_specific", "details", "id", "summary"}, advisory, 0},
	} {
		got, dropped := redacted(t, advisory, tt.paths...)
		require.Equal(t, tt.want, got, "%q", tt.paths)
		require.Equal(t, tt.dropped, dropped, "%q", tt.paths)
	}
	got, _ := redacted(t, `{"\n":1,"a":{}}`, `"\n"`)
	require.Equal(t, `{"\n":1}`, got, "names are compared, not their spelling")
}

func TestDamagedTextIsNotRedacted(t *testing.T) {
	tree, err := allowed([]string{"a[].b", "c"})
	require.NoError(t, err)
	for _, raw := range []string{"", "7", "[]", "{", `{"a"`, `{"a":`, `{"a":[`, `{"a":[{"b":1`, `{"a":1`, `{"a":}`, `{"a":[,]}`, `{"a":1}}`, `{"a":1,`, `{"a":1;"b":2}`, `{"c":"`, `{"c":{"d":1}`, `{a:1}`, `{"a" :1}`} {
		_, _, err := tree.redact(nil, []byte(raw))
		require.ErrorIs(t, err, errNotCanonical, raw)
	}
}

type page struct{ bytes.Buffer }

func (p *page) WriteLine(parts ...[]byte) error {
	for _, part := range parts {
		p.Write(part)
	}
	return p.WriteByte('\n')
}

func TestARedactedLineSaysSo(t *testing.T) {
	doc := ledger.Line{Row: ledger.Row{Kind: ledger.KindAdvisory, Subject: "pkg:npm/a", UpstreamID: "X", Source: "osv", Stream: "s"},
		Format: "osv", Products: []string{"pkg:npm/a"}, Aliases: []string{"CVE-1"}, Canonical: []byte(advisory), RawBytes: 9}
	for _, tt := range []struct {
		linkset []string
		paths   []string
		linked  string
		subject string
		written adapters.Written
		note    string
	}{
		{nil, []string{"id"}, `{"aliases":[],"ecosystems":[],"products":[]}`, "", adapters.Written{Dropped: 8}, `8`},
		{[]string{"products"}, []string{"id"}, `{"aliases":[],"ecosystems":[],"products":["pkg:npm/a"]}`, "pkg:npm/a", adapters.Written{Dropped: 6}, `6`},
		{[]string{"aliases", "ecosystems", "products"}, []string{"*"}, `{"aliases":["CVE-1"],"ecosystems":[],"products":["pkg:npm/a"]}`, "pkg:npm/a", adapters.Written{}, `0`},
		{nil, []string{"*"}, `{"aliases":[],"ecosystems":[],"products":[]}`, "", adapters.Written{Dropped: 3}, `3`},
	} {
		p, err := Adapter{}.Packer(export.Options{Redaction: &export.Redaction{PolicyID: "acme/p-1", Allow: map[string][]string{"advisory": tt.paths}, Linkset: tt.linkset}})
		require.NoError(t, err)
		var out page
		written, err := p.Write(&out, doc)
		require.NoError(t, err)
		require.Equal(t, tt.written, written)
		line := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
		canonical, err := bundle.Canonical(line)
		require.NoError(t, err)
		require.Equal(t, string(canonical), string(line))
		var got struct {
			Linkset, Redaction json.RawMessage
			Subject            string
			Original           struct{ Bytes int64 }
		}
		require.NoError(t, json.Unmarshal(line, &got))
		require.Equal(t, tt.linked, string(got.Linkset))
		require.Equal(t, tt.subject, got.Subject)
		require.EqualValues(t, 9, got.Original.Bytes, "the original is still named")
		require.Equal(t, `{"droppedFields":`+tt.note+`,"policyId":"acme/p-1"}`, string(got.Redaction))
	}
}

func TestAKindWithoutAListIsNotGuessed(t *testing.T) {
	p, err := Adapter{}.Packer(export.Options{Redaction: &export.Redaction{PolicyID: "p", Allow: map[string][]string{"advisory": {"id"}}}})
	require.NoError(t, err)
	var out page
	_, err = p.Write(&out, ledger.Line{Row: ledger.Row{Kind: ledger.KindVEX, UpstreamID: "v"}, Canonical: []byte(`{"a":1}`)})
	require.Equal(t, export.CodeValidation, export.CodeOf(err))
	require.False(t, export.ClassOf(err).Retryable())
	require.ErrorContains(t, err, "options.redaction.allow.vex")
	require.Zero(t, out.Len())

	_, err = Adapter{}.Packer(export.Options{Redaction: &export.Redaction{PolicyID: "p"}})
	require.ErrorContains(t, err, "options.redaction.allow")
}

// asMap redacts with encoding/json and the tree of a path by itself.
func asMap(v any, paths [][]export.FieldStep) (any, bool) {
	inner := [][]export.FieldStep{}
	for _, path := range paths {
		if len(path) == 0 {
			return v, true
		}
		inner = append(inner, path)
	}
	switch v := v.(type) {
	case map[string]any:
		out, any := map[string]any{}, false
		for _, p := range inner {
			any = any || p[0].Name != element
		}
		for name, value := range v {
			if kept, ok := asMap(value, stepInto(inner, name)); ok {
				out[name] = kept
			}
		}
		return out, any
	case []any:
		out, next := []any{}, stepInto(inner, element)
		for _, value := range v {
			if kept, ok := asMap(value, next); ok {
				out = append(out, kept)
			}
		}
		return out, len(next) > 0
	}
	return nil, false
}

// element is the step into a list, which no name can be mistaken for.
const element = "\xff"

func stepInto(paths [][]export.FieldStep, name string) (next [][]export.FieldStep) {
	for _, p := range paths {
		if p[0].Name == name {
			next = append(next, p[1:])
		}
	}
	return next
}

func FuzzRedact(f *testing.F) {
	f.Add(advisory, "id\naffected[].package")
	f.Add(advisory, "affected[].ranges[].events[]\n"+`database_specific."a.b"[]`)
	f.Add(`{"a":[[{"b":1},2],{"c":"\u0001\\"}],"é":{}}`, "a[][].b\na[].c")
	f.Fuzz(func(t *testing.T, doc, list string) {
		raw, err := bundle.Canonical([]byte(doc))
		if err != nil || raw[0] != '{' {
			return
		}
		paths := strings.Split(list, "\n")
		var expanded [][]export.FieldStep
		for _, path := range paths {
			steps, err := export.ParseFieldPath(path)
			if err != nil || len(steps) == 0 {
				return
			}
			var single []export.FieldStep
			for _, s := range steps {
				single = append(single, export.FieldStep{Name: s.Name})
				for range s.Lists {
					single = append(single, export.FieldStep{Name: element})
				}
			}
			expanded = append(expanded, single)
		}
		tree, err := allowed(paths)
		require.NoError(t, err)
		got, dropped, err := tree.redact(nil, raw)
		require.NoError(t, err)
		again, err := bundle.Canonical(got)
		require.NoError(t, err)
		require.Equal(t, string(again), string(got), "what stays is canonical")
		require.Equal(t, dropped == 0, string(raw) == string(got))

		var value any
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		require.NoError(t, dec.Decode(&value))
		kept, _ := asMap(value, expanded)
		text, err := json.Marshal(kept)
		require.NoError(t, err)
		want, err := bundle.Canonical(text)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	})
}
