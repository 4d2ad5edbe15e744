package purl

import "strings"

// ecosystems maps package URL types to the names OSV gives the same
// ecosystems; types of operating system packages are told apart by namespace.
var ecosystems = map[string]string{
	"bitnami": "Bitnami", "cargo": "crates.io", "composer": "Packagist", "conan": "ConanCenter", "cran": "CRAN",
	"gem": "RubyGems", "golang": "Go", "hackage": "Hackage", "hex": "Hex", "maven": "Maven", "npm": "npm",
	"nuget": "NuGet", "pub": "Pub", "pypi": "PyPI", "swift": "SwiftURL",

	"apk/alpine": "Alpine", "apk/chainguard": "Chainguard", "apk/wolfi": "Wolfi", "deb/debian": "Debian", "deb/ubuntu": "Ubuntu",
	"rpm/almalinux": "AlmaLinux", "rpm/opensuse": "openSUSE", "rpm/photon": "Photon OS", "rpm/redhat": "Red Hat",
	"rpm/rocky": "Rocky Linux", "rpm/suse": "SUSE",
}

// Ecosystem is the OSV ecosystem of a package URL, "" when it has none.
func Ecosystem(purl string) string {
	rest, ok := strings.CutPrefix(purl, Scheme)
	if !ok {
		return ""
	}
	kind, rest, _ := strings.Cut(rest, "/")
	kind = strings.ToLower(kind)
	if name, known := ecosystems[kind]; known {
		return name
	}
	namespace, _, _ := strings.Cut(rest, "/")
	return ecosystems[kind+"/"+strings.ToLower(namespace)]
}
