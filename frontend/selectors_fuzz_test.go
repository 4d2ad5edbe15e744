package frontend

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// Whatever selectors arrive, they are refused with a member's name, or become
// a bounded form that reads back as itself.
func FuzzSelectors(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"kinds":["vex","advisory","vex"]}`, `{"kinds":["virus"]}`, `{"products":["pkg:npm/lodash**","pkg:*"]}`, `{"products":["pkg:npm/a@1"]}`,
		`{"timeWindow":{"from":"2024-01-01T00:00:00Z","to":"2025-01-01T00:00:00+02:00","field":"observedAt"}}`, `{"timeWindow":{}}`,
		`{"timeWindow":{"from":"9999-12-31T23:59:59-12:00"}}`, `{"timeWindow":{"to":"0001-01-01T00:00:00.000000001Z"}}`,
		`{"sample":{"rate":0.1,"seed":"s"}}`, `{"sample":{"rate":-0.0,"seed":""}}`, `{"sample":{"rate":1e400,"seed":""}}`, `{"include":["GHSA-**","a%_\\"],"exclude":["*"]}`,
		`{"severities":["high","important"]}`, `{"projects":["_","web"],"tenants":["acme"]}`,
		`{"timeWindow":null}`, `{"sources":null}`, `{"ecosystems":["\u0000"]}`, `{"ecosystems":["a"],"Ecosystems":["b"]}`, `{"x":1}`, `[]`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var asked Selectors
		if bundle.UnmarshalStrict(raw, &asked) != nil {
			return
		}
		out, err := checkSelectors(asked)
		if err != nil {
			var coded *export.Error
			if !errors.As(err, &coded) || coded.Code != export.CodeSelector || !strings.HasPrefix(coded.Field, "selectors.") {
				t.Fatalf("refused without a member: %v", err)
			}
			return
		}
		for _, values := range [][]string{out.Kinds, out.Sources, out.Ecosystems, out.Products, out.Severities, out.SBOMSubjects, out.Include, out.Exclude, out.Projects, out.Tenants} {
			if len(values) > maxSelectorValues || !slices.IsSorted(values) {
				t.Fatalf("%d values in %q", len(values), values)
			}
		}
		again, err := checkSelectors(selectorsDocument(out))
		if err != nil || !reflect.DeepEqual(out, again) {
			t.Fatalf("%+v became %+v: %v", out, again, err)
		}
		stored, err := bundle.MarshalCanonical(out) // as the manifest and the row have it
		if err != nil {
			t.Fatal(err)
		}
		var read export.Selectors
		if err := bundle.UnmarshalStrict(stored, &read); err != nil || !reflect.DeepEqual(out, read) {
			t.Fatalf("%s reads as %+v: %v", stored, read, err)
		}
	})
}

// A cursor that is taken is one that was given out for the same filters.
func FuzzListCursor(f *testing.F) {
	bare, npm := ledger.DocumentFilter{}, ledger.DocumentFilter{Ecosystem: "npm", Limit: 7}
	for _, seed := range []string{
		listCursor{9, 3}.encode(bare), listCursor{9, 3}.encode(npm), listCursor{9, 9}.encode(bare), listCursor{1 << 62, 1}.encode(bare),
		"", "djE", "djEuOS4z", "djEuKzkuMy4x", "djEuOS4zLg==", "v1.9.3.0000000000000000", strings.Repeat("A", 97), "\xff", "djEuOS4z\n",
	} {
		f.Add(seed, "npm")
	}
	f.Fuzz(func(t *testing.T, text, ecosystem string) {
		filter := ledger.DocumentFilter{Ecosystem: ecosystem}
		c, err := parseListCursor(text, filter)
		if err != nil {
			if export.CodeOf(err) != export.CodeValidation || c != (listCursor{}) {
				t.Fatalf("%q: %+v, %v", text, c, err)
			}
			return
		}
		if c.after < 1 || c.after >= c.asOf || c.encode(filter) != text {
			t.Fatalf("%q reads as %+v", text, c)
		}
		if _, err := parseListCursor(text, ledger.DocumentFilter{Ecosystem: ecosystem, Kind: "vex"}); err == nil {
			t.Fatalf("%q is taken for another list", text)
		}
	})
}
