package policy

import (
	"regexp"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/internal/purl"
	"github.com/stella-ops/exportcenter/sbom"
)

// place is what components and advisories meet by: a package in an ecosystem,
// both in the one form that two spellings of the same package share.
type place struct {
	ecosystem string // with its release where it has one: "Debian:12"
	name      string
}

// found is a component as one ecosystem sees it: an operating system package
// may be known by its own name and by its source's, each with a version.
type found struct {
	place
	version string
}

// base is the ecosystem without its release.
func base(ecosystem string) string {
	name, _, _ := strings.Cut(ecosystem, ":")
	return name
}

var pypiSeparators = regexp.MustCompile(`[-_.]+`)

// normalName gives the one form of a package's name in its ecosystem. It may
// only make equal what the ecosystem's registry keeps from being two packages.
func normalName(ecosystem, name string) string {
	switch base(ecosystem) {
	case "PyPI": // PEP 503
		return strings.ToLower(pypiSeparators.ReplaceAllString(name, "-"))
	case "crates.io": // the registry refuses names that differ so
		return strings.ReplaceAll(strings.ToLower(name), "_", "-")
	case "Go", "Packagist", "NuGet", "Hex", "Pub", "GitHub Actions", "Bitnami":
		return strings.ToLower(name)
	case "SwiftURL":
		name = strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(name), "https://"), "http://")
		return strings.TrimSuffix(strings.TrimSuffix(name, "/"), ".git")
	}
	return name
}

// normalEcosystem gives the one form of an ecosystem's release.
//
// Ubuntu's "22.04:LTS" is 22.04; "Pro" and other editions stay apart, since
// their fixes reach only who has them. Red Hat's products are CPE suffixes, of
// which the operating system's major version is what a package can be told by.
// So are SUSE's products, with their service packs.
func normalEcosystem(ecosystem string) string {
	name, release, has := strings.Cut(ecosystem, ":")
	if !has || release == "" {
		return name
	}
	switch name {
	case "Ubuntu":
		release = strings.TrimSuffix(release, ":LTS")
	case "Alpine":
		if !strings.HasPrefix(release, "v") && release != "edge" {
			release = "v" + release
		}
	case "SUSE":
		release = suseRelease(release)
	case "Red Hat":
		parts := strings.Split(release, ":")
		if (parts[0] == "enterprise_linux" || strings.HasPrefix(parts[0], "rhel")) && len(parts) > 1 {
			release, _, _ = strings.Cut(parts[1], ".")
		}
	}
	return name + ":" + release
}

// placeOf is where an advisory's package is looked up.
func placeOf(ecosystem, name string) place {
	ecosystem = normalEcosystem(ecosystem)
	return place{ecosystem, normalName(ecosystem, name)}
}

// placesOf tells under which packages a component is looked up; none when its
// package URL is of no ecosystem that advisories speak of.
func placesOf(c *sbom.Component, p purl.Parts) []found {
	eco := ecosystemOf(p)
	if eco == "" {
		return nil
	}
	version := p.Version
	if version == "" {
		version = c.Version
	}
	switch p.Type {
	case "deb", "apk", "rpm":
		return systemPlaces(eco, c, p, version)
	}
	return []found{{place{eco, normalName(eco, p.PackageName())}, version}}
}

// ecosystemOf is the OSV ecosystem of a package, "" when it has none.
func ecosystemOf(p purl.Parts) string {
	return purl.Ecosystem(purl.Scheme + p.Type + "/" + p.Namespace + "/" + p.Name)
}

// systemPlaces are those of an operating system package: in its release and in
// the whole distribution, by its source's name and, where advisories name
// binary packages (rpm), by its own.
func systemPlaces(eco string, c *sbom.Component, p purl.Parts, version string) (all []found) {
	if epoch := p.Qualifiers["epoch"]; epoch != "" && !strings.Contains(version, ":") {
		version = epoch + ":" + version
	}
	source, sourceVersion := sourceOf(c, p, version)
	ecosystems := []string{eco}
	if release := releaseOf(eco, p); release != "" {
		if major, _, more := strings.Cut(release, "."); more && eco == "SUSE" && !strings.HasPrefix(major, "Micro") {
			ecosystems = append(ecosystems, eco+":"+major) // modules of all service packs
		}
		ecosystems = append(ecosystems, eco+":"+release)
	}
	for _, e := range ecosystems {
		all = append(all, found{place{e, normalName(e, source)}, sourceVersion})
		if own := (found{place{e, normalName(e, p.Name)}, version}); p.Type == "rpm" && !slices.Contains(all, own) {
			all = append(all, own)
		}
	}
	return all
}

// sourceOf is the source package a binary package was built from, by what the
// reader found or by the qualifier upstream=<name>[@<version>]; else the
// package itself.
func sourceOf(c *sbom.Component, p purl.Parts, version string) (name, sourceVersion string) {
	name, sourceVersion = c.SourceName, c.SourceVersion
	if name == "" {
		name, sourceVersion, _ = strings.Cut(p.Qualifiers["upstream"], "@")
		if p.Type == "rpm" { // upstream is a file's name: bash-5.1.8-6.el9.src.rpm
			name, sourceVersion = sourceRPM(name)
		}
	}
	if name == "" {
		name = p.Name
	}
	if sourceVersion == "" {
		sourceVersion = version
	}
	return name, sourceVersion
}

// sourceRPM takes a source package's file name apart; what has no such form is
// no source. The file name lacks the epoch, so the version is not used.
func sourceRPM(file string) (name, version string) {
	text := strings.TrimSuffix(file, ".src.rpm")
	if text == file {
		return file, ""
	}
	for range 2 {
		at := strings.LastIndexByte(text, '-')
		if at <= 0 {
			return "", ""
		}
		text = text[:at]
	}
	return text, ""
}
