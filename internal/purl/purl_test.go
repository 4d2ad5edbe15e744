package purl_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/purl"
)

func TestSplit(t *testing.T) {
	for text, want := range map[string]struct {
		parts purl.Parts
		name  string
	}{
		"pkg:npm/%40scope/name@1.0.0":                   {purl.Parts{Type: "npm", Namespace: "@scope", Name: "name", Version: "1.0.0"}, "@scope/name"},
		"pkg:npm/@scope/name":                           {purl.Parts{Type: "npm", Namespace: "@scope", Name: "name"}, "@scope/name"},
		"pkg:NPM/@scope/name@1":                         {purl.Parts{Type: "npm", Namespace: "@scope", Name: "name", Version: "1"}, "@scope/name"},
		"pkg://pypi/x@1%2Bb":                            {purl.Parts{Type: "pypi", Name: "x", Version: "1+b"}, "x"},
		"pkg:golang/github.com/a/b@v1#c/d":              {purl.Parts{Type: "golang", Namespace: "github.com/a", Name: "b", Version: "v1"}, "github.com/a/b"},
		"pkg:golang/a@feature/x":                        {purl.Parts{Type: "golang", Name: "a", Version: "feature/x"}, "a"},
		"pkg:maven/org.x/lib@2?type=jar":                {purl.Parts{Type: "maven", Namespace: "org.x", Name: "lib", Version: "2", Qualifiers: map[string]string{"type": "jar"}}, "org.x:lib"},
		"pkg:deb/debian/g%2B%2B@1?arch=a+b&ARCH=c&x=&y": {purl.Parts{Type: "deb", Namespace: "debian", Name: "g++", Version: "1", Qualifiers: map[string]string{"arch": "a+b"}}, "g++"},
	} {
		got, ok := purl.Split(text)
		require.True(t, ok, text)
		require.Equal(t, want.parts, got, text)
		require.Equal(t, want.name, got.PackageName(), text)
	}
	for _, text := range []string{"", "npm/x", "pkg:", "pkg:npm", "pkg:npm/", "pkg:/x", "pkg:npm/%zz", "pkg:npm/x@%zz", "pkg:npm/x?a=%zz", "pkg:npm///", "pkg:npm/?a=b"} {
		_, ok := purl.Split(text)
		require.False(t, ok, text)
	}
}

func TestBare(t *testing.T) {
	for text, want := range map[string]string{
		"pkg:npm/%40s/n@1?a=b#c": "pkg:npm/%40s/n", "pkg:npm/@s/n": "pkg:npm/@s/n", "pkg:rpm/redhat/a@1-2?arch=src": "pkg:rpm/redhat/a", "x": "x",
	} {
		require.Equal(t, want, purl.Bare(text), text)
	}
}

func TestWithVersion(t *testing.T) {
	for text, want := range map[string]string{
		"pkg:npm/%40s/n@1?a=b#c": "pkg:npm/%40s/n@2%2B3?a=b#c", "pkg:npm/@s/n": "pkg:npm/@s/n@2%2B3", "pkg:npm/n@1": "pkg:npm/n@2%2B3", "pkg:npm/n?a=b": "pkg:npm/n@2%2B3?a=b",
	} {
		require.Equal(t, want, purl.WithVersion(text, "2+3"), text)
	}
}

func FuzzSplit(f *testing.F) {
	for _, text := range []string{"pkg:npm/@s/n@1?a=b#c", "pkg:golang/a@feature/x", "pkg:a/%40", "pkg:a/@", "pkg:a/b@/"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		require.True(t, strings.HasPrefix(text, purl.Bare(text)))
		parts, ok := purl.Split(text)
		if !ok {
			return
		}
		require.NotEmpty(t, parts.Type)
		require.NotEmpty(t, parts.PackageName())
		_ = purl.Ecosystem(text)
	})
}
