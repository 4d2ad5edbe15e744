// Package purl makes package URLs (github.com/package-url/purl-spec) of the
// names that advisories use.
package purl

import (
	"fmt"
	"regexp"
	"strings"
)

// Scheme begins every package URL.
const Scheme = "pkg:"

// types maps an OSV ecosystem to its package URL type (purl-spec,
// PURL-TYPES). Ecosystems with a release ("Debian:12") are looked up without it.
var types = map[string]string{
	"Bitnami":        "bitnami",
	"ConanCenter":    "conan",
	"CRAN":           "cran",
	"crates.io":      "cargo",
	"GitHub Actions": "github",
	"Go":             "golang",
	"Hackage":        "hackage",
	"Hex":            "hex",
	"Maven":          "maven",
	"npm":            "npm",
	"NuGet":          "nuget",
	"Packagist":      "composer",
	"Pub":            "pub",
	"PyPI":           "pypi",
	"RubyGems":       "gem",
	"SwiftURL":       "swift",

	"Alpine": "apk/alpine",
	"Debian": "deb/debian",
	"Ubuntu": "deb/ubuntu",
}

var pypiSeparators = regexp.MustCompile(`[-_.]+`)

// Derive makes the package URL of a package that came without one, in the
// way most producers write it, "" for an ecosystem without a type. Go module
// paths keep their case: they are case-sensitive, and SBOM tools keep it.
func Derive(ecosystem, name string) string {
	base, _, _ := strings.Cut(ecosystem, ":")
	kind, ok := types[base]
	if !ok {
		return ""
	}
	switch kind {
	case "pypi":
		name = strings.ToLower(pypiSeparators.ReplaceAllString(name, "-"))
	case "maven":
		name = strings.Replace(name, ":", "/", 1)
	case "swift":
		name = strings.TrimSuffix(strings.TrimPrefix(name, "https://"), ".git")
	case "composer", "github", "hex", "pub":
		name = strings.ToLower(name)
	}
	segments := strings.Split(strings.Trim(name, "/"), "/")
	for i, s := range segments {
		segments[i] = encodeSegment(s)
	}
	return Scheme + kind + "/" + strings.Join(segments, "/")
}

// encodeSegment percent-encodes all but what purl-spec leaves bare: letters,
// digits, . - _ ~ and the colon.
func encodeSegment(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(".-_~:", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
