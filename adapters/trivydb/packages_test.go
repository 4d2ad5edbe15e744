package trivydb

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
)

// boms gives the real bills of materials beside the project, by archive and
// path, or skips the test.
func boms(t testing.TB) map[string][]byte {
	t.Helper()
	archives, err := filepath.Glob(filepath.Join(testkit.Root(t), "..", "shared", "data", "sbom", "*.tar.zst"))
	require.NoError(t, err)
	if len(archives) == 0 {
		t.Skip("missing: real bills of materials, ../shared/data/sbom/*.tar.zst")
	}
	all := map[string][]byte{}
	for _, name := range archives {
		for entry, text := range unpackedTar(t, name) {
			all[filepath.Base(name)+"/"+entry] = text
		}
	}
	return all
}

// unpackedTar gives the files of an archive.
func unpackedTar(t testing.TB, name string) map[string][]byte {
	t.Helper()
	file, err := os.Open(name)
	require.NoError(t, err)
	defer file.Close() //nolint:errcheck // only read
	unpacked, err := zstd.NewReader(file)
	require.NoError(t, err)
	defer unpacked.Close()
	all := map[string][]byte{}
	for entries := tar.NewReader(unpacked); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		text, err := io.ReadAll(entries)
		require.NoError(t, err)
		all[header.Name] = text
	}
}

// component is a package of a bill of materials.
type component struct{ purl, ecosystem, name, version string }

var (
	anyPurl     = regexp.MustCompile(`pkg:(npm|maven|golang|pypi|cargo|gem|composer|nuget)/[^\s"'<>,?#\\]+@[^\s"'<>,?#\\/]+`)
	purlTypes   = map[string]string{"npm": "npm", "maven": "Maven", "golang": "Go", "pypi": "PyPI", "cargo": "crates.io", "gem": "RubyGems", "composer": "Packagist", "nuget": "NuGet"}
	purlJoiners = map[string]string{"maven": ":"}
)

// components are all packages that any of the texts names by a package URL,
// sorted, each once.
func components(texts map[string][]byte) []component {
	found := map[string]component{}
	for _, text := range texts {
		for _, match := range anyPurl.FindAllString(string(text), -1) {
			at := strings.LastIndex(match, "@")
			kind, path, _ := strings.Cut(strings.TrimPrefix(match[:at], "pkg:"), "/")
			name, err1 := url.PathUnescape(path)
			version, err2 := url.PathUnescape(match[at+1:])
			if err1 != nil || err2 != nil {
				continue
			}
			if joiner, ok := purlJoiners[kind]; ok {
				last := strings.LastIndex(name, "/")
				if last < 0 {
					continue
				}
				name = name[:last] + joiner + name[last+1:]
			}
			c := component{"pkg:" + kind + "/" + path + "@" + match[at+1:], purlTypes[kind], name, version}
			found[c.ecosystem+"\n"+normalName(c.ecosystem, c.name)+"\n"+c.version] = c
		}
	}
	return sorted(found)
}

func sorted(found map[string]component) []component {
	list := slices.Collect(maps.Values(found))
	slices.SortFunc(list, func(a, b component) int { return compareText(a.purl, b.purl) })
	return list
}

// bill writes components as a bill of materials of CycloneDX 1.5. The reference
// of each is its place in the list.
func bill(list []component) []byte {
	type entry struct {
		Type   string `json:"type"`
		Ref    string `json:"bom-ref"`
		Name   string `json:"name"`
		Versn  string `json:"version"`
		PkgURL string `json:"purl"`
	}
	entries := []entry{}
	for i, c := range list {
		entries = append(entries, entry{"library", fmt.Sprintf("c%d", i), c.name, c.version, c.purl})
	}
	return encode(map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": entries})
}
