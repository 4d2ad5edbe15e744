package export_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stella-ops/exportcenter/export"
)

func TestFieldPaths(t *testing.T) {
	for path, want := range map[string]string{
		"*":                            "[]",
		"id":                           "[{id 0}]",
		"affected[].package.name":      "[{affected 1} {package 0} {name 0}]",
		"a[][].b[]":                    "[{a 2} {b 1}]",
		"@context":                     "[{@context 0}]",
		`database_specific."a.b"[]`:    "[{database_specific 0} {a.b 1}]",
		`"".é`:                         "[{ 0} {é 0}]",
		`"with \"quote\" and \\".x`:    `[{with "quote" and \ 0} {x 0}]`,
		strings.Repeat("a.", 31) + "a": fmt.Sprint(deep()),
	} {
		steps, err := export.ParseFieldPath(path)
		if err != nil || fmt.Sprint(steps) != want {
			t.Errorf("%s: %v %v, want %s", path, steps, err, want)
		}
	}
}

func deep() []export.FieldStep {
	steps := make([]export.FieldStep, 32)
	for i := range steps {
		steps[i].Name = "a"
	}
	return steps
}

func TestMalformedFieldPaths(t *testing.T) {
	for _, path := range []string{
		"", ".", "a.", ".a", "a..b", "[]", "[].a", "a[", "a]", "a[0]", "a[]b", "a b", "a\tb", "a*", "*.a", "a.*", `"a`, `"a"b`, `"\x"`, `a"b"`, `a\b`,
		strings.Repeat("a.", 32) + "a", strings.Repeat("a", 513), "a\x00", "a\xff", "\"\xff\"",
	} {
		if steps, err := export.ParseFieldPath(path); err == nil {
			t.Errorf("%q is taken as %v", path, steps)
		}
	}
}

func TestTheWrongPartOfARedactionIsNamed(t *testing.T) {
	many := make([]string, export.MaxRedactionPaths+1)
	for i := range many {
		many[i] = fmt.Sprint("p", i)
	}
	allow := func(kind string, paths ...string) map[string][]string { return map[string][]string{kind: paths} }
	for _, tt := range []struct {
		r     export.Redaction
		field string
	}{
		{export.Redaction{Allow: allow("vex", "*")}, "policyId"},
		{export.Redaction{PolicyID: "a b", Allow: allow("vex", "*")}, "policyId"},
		{export.Redaction{PolicyID: strings.Repeat("a", 129), Allow: allow("vex", "*")}, "policyId"},
		{export.Redaction{PolicyID: "p"}, "allow"},
		{export.Redaction{PolicyID: "p", Allow: allow("virus", "*")}, "allow"},
		{export.Redaction{PolicyID: "p", Allow: allow("vex")}, "allow.vex"},
		{export.Redaction{PolicyID: "p", Allow: allow("vex", many...)}, "allow.vex"},
		{export.Redaction{PolicyID: "p", Allow: allow("vex", "a", "b..c")}, "allow.vex[1]"},
		{export.Redaction{PolicyID: "p", Allow: allow("vex", "a", "*")}, "allow.vex[1]"},
		{export.Redaction{PolicyID: "p", Allow: allow("vex", "a", "a")}, "allow.vex[1]"},
		{export.Redaction{PolicyID: "p", Allow: allow("vex", "a"), Linkset: []string{"aliases", "names"}}, "linkset[1]"},
		{export.Redaction{PolicyID: "p", Allow: allow("vex", "a"), Linkset: []string{"aliases", "aliases"}}, "linkset[1]"},
	} {
		var coded *export.Error
		err := tt.r.Validate()
		if export.CodeOf(err) != export.CodeValidation {
			t.Errorf("%s: %v", tt.field, err)
			continue
		}
		coded = err.(*export.Error)
		if coded.Field != "options.redaction."+tt.field || !strings.Contains(coded.Message, coded.Field) {
			t.Errorf("want %s, have %s: %s", tt.field, coded.Field, coded.Message)
		}
	}
	good := export.Redaction{PolicyID: "acme/public-1", Allow: allow("advisory", "id", "affected[].package"), Linkset: []string{"products"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func TestOrderLeavesNoTraceInARedaction(t *testing.T) {
	one := export.Redaction{PolicyID: "p", Allow: map[string][]string{"vex": {"b", "a"}, "sbom": {"*"}}, Linkset: []string{"products", "aliases"}}
	two := export.Redaction{PolicyID: "p", Allow: map[string][]string{"sbom": {"*"}, "vex": {"a", "b"}}, Linkset: []string{"aliases", "products"}}
	if one.Fingerprint() == two.Fingerprint() || one.Normal().Fingerprint() != two.Normal().Fingerprint() {
		t.Error("want the same redaction in normal form only")
	}
	if text, _ := json.Marshal(export.Options{Redaction: one.Normal()}); string(text) !=
		`{"redaction":{"policyId":"p","allow":{"sbom":["*"],"vex":["a","b"]},"linkset":["aliases","products"]}}` {
		t.Error(string(text))
	}
	var none *export.Redaction
	if none.Fingerprint() != "" || none.Normal() != nil || none.Validate() != nil || !none.Keeps("aliases") {
		t.Error("no redaction must leave out nothing")
	}
}

func FuzzParseFieldPath(f *testing.F) {
	for _, path := range []string{"id", "a[].b", `"a.b"[][]`, "*", `"\u0041".x`, "a..b", `"`} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		steps, err := export.ParseFieldPath(path)
		if err != nil || path == export.KeepAll {
			return
		}
		var again strings.Builder
		for i, step := range steps {
			if i > 0 {
				again.WriteByte('.')
			}
			name, _ := json.Marshal(step.Name)
			again.Write(name)
			again.WriteString(strings.Repeat("[]", step.Lists))
		}
		if same, err := export.ParseFieldPath(again.String()); again.Len() <= 512 && (err != nil || fmt.Sprint(same) != fmt.Sprint(steps)) {
			t.Errorf("%q reads as %v, its quoted form %s as %v (%v)", path, steps, again.String(), same, err)
		}
	})
}
