package csaftree_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/csaftree"
	"github.com/stella-ops/exportcenter/internal/jsonobject"
)

const tree = `{"product_tree":{"full_product_names":[{"name":"named","product_id":"n"}],
 "branches":[{"category":"vendor","branches":[
  {"category":"product_name","product":{"name":"P","product_id":"P","product_identification_helper":{"cpe":"cpe:/o:x"}}},
  {"category":"product_version_range","name":"vers:rpm/<2","product":{"name":"r","product_id":"r"}},
  {"category":"product_version","product":{"name":"a","product_id":"a","product_identification_helper":{"purl":"pkg:rpm/x/a@1"}}},
  {"category":"product_version","product":{"name":"other","product_id":"a"}}]}],
 "product_groups":[{"group_id":"g","product_ids":["a","n"]}],
 "relationships":[
  {"product_reference":"m","relates_to_product_reference":"P","full_product_name":{"name":"m","product_id":"P:m"}},
  {"product_reference":"a","relates_to_product_reference":"P:m","full_product_name":{"name":"m:a","product_id":"P:m:a"}},
  {"product_reference":"l","relates_to_product_reference":"l","full_product_name":{"name":"l","product_id":"l"}}]},
 "of":{"product_ids":["n","P"],"group_ids":["g","gone"]}}`

func read(t *testing.T) (csaftree.Tree, jsonobject.Object) {
	t.Helper()
	doc, err := jsonobject.Parse("", []byte(tree))
	require.NoError(t, err)
	found, err := csaftree.Read(doc)
	require.NoError(t, err)
	return found, doc
}

func TestProducts(t *testing.T) {
	found, doc := read(t)
	require.Equal(t, 7, found.Len())
	for id, want := range map[string]csaftree.Product{
		"n": {ID: "n", Name: "named"}, "r": {ID: "r", Name: "r", Range: "vers:rpm/<2"},
		"a":     {ID: "a", Name: "a", Purl: "pkg:rpm/x/a@1"}, // the first of two with one id
		"P:m:a": {ID: "a", Name: "a", Purl: "pkg:rpm/x/a@1"},
	} {
		got, ok := found.Component(id)
		require.True(t, ok, id)
		require.Equal(t, want, got, id)
	}
	platform, ok := found.Platform("P:m:a") // through a module
	require.True(t, ok)
	require.Equal(t, "cpe:/o:x", platform.CPE)
	for _, id := range []string{"a", "gone"} {
		_, ok := found.Platform(id)
		require.False(t, ok, id)
	}
	_, ok = found.Component("P:m") // made of a product that is not there
	require.False(t, ok)
	_, _ = found.Component("l") // of itself: it ends
	_, _ = found.Platform("l")
	of, err := doc.RequireObject("of")
	require.NoError(t, err)
	ids, err := found.Members(of)
	require.NoError(t, err)
	require.Equal(t, []string{"n", "P", "a"}, ids)
}

// The nearest branch that speaks of versions counts, above a product and behind
// a relationship that gives it a package URL of its own.
func TestVersionsOfBranches(t *testing.T) {
	doc, err := jsonobject.Parse("", []byte(`{"product_tree":{"branches":[
	 {"category":"product_version","name":"1.2","branches":[
	  {"category":"architecture","name":"x86_64","product":{"name":"v","product_id":"v"}},
	  {"category":"product_version_range","name":"vers:npm/<3","product":{"name":"r","product_id":"r"}}]},
	 {"category":"product_version_range","name":"<4","branches":[
	  {"category":"language","name":"en","product":{"name":"deep","product_id":"deep"}},
	  {"category":"product_version_range","name":"vers:all/*","product":{"name":"all","product_id":"all"}},
	  {"category":"product_version","name":"3","product":{"name":"one","product_id":"one"}}]},
	 {"category":"product_name","name":"P","product":{"name":"P","product_id":"P"}}],
	 "relationships":[{"product_reference":"deep","relates_to_product_reference":"P",
	  "full_product_name":{"name":"m","product_id":"P:deep","product_identification_helper":{"purl":"pkg:npm/m"}}}]}}`))
	require.NoError(t, err)
	found, err := csaftree.Read(doc)
	require.NoError(t, err)
	for id, want := range map[string][2]string{"v": {"1.2", ""}, "r": {"", "vers:npm/<3"}, "deep": {"", "<4"}, "all": {"", ""}, "one": {"3", ""}, "P": {"", ""}, "P:deep": {"", "<4"}} {
		p, ok := found.Component(id)
		require.True(t, ok, id)
		require.Equal(t, want, [2]string{p.Version, p.Range}, id)
	}
}

func TestTheFieldAtFaultIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		`{"product_tree":[]}`:                                                                     "product_tree is not an object",
		`{"product_tree":{"full_product_names":[{}]}}`:                                            "product_tree.full_product_names[0].product_id is missing",
		`{"product_tree":{"product_groups":[{}]}}`:                                                "product_tree.product_groups[0].group_id is missing",
		`{"product_tree":{"branches":[{"product":{"product_id":7}}]}}`:                            "product_tree.branches[0].product.product_id is not a string",
		`{"product_tree":` + strings.Repeat(`{"branches":[`, 40) + strings.Repeat(`]}`, 40) + `}`: "nested deeper than 32",
	} {
		doc, err := jsonobject.Parse("", []byte(text))
		require.NoError(t, err)
		_, err = csaftree.Read(doc)
		require.ErrorContains(t, err, want, text)
	}
}
