package trivydb

import (
	"regexp"
	"strings"
)

// language is an ecosystem of packages of a programming language.
type language struct {
	slug    string // before the "::" of a root bucket
	grammar *grammar
	names   func(name string) []string // as Trivy looks them up
}

// languages are the ecosystems of OSV that Trivy scans (trivy-db pkg/ecosystem,
// trivy pkg/detector/library/driver.go), by OSV's names.
var languages = map[string]language{
	"ConanCenter": {"conan", generic, lower},
	"Go":          {"go", generic, same},
	"Hex":         {"erlang", generic, lower},
	"Julia":       {"julia", generic, same},
	"Kubernetes":  {"k8s", generic, lower},
	"Maven":       {"maven", mavenVersion, lower},
	"NuGet":       {"nuget", generic, lower},
	"Packagist":   {"composer", generic, lower},
	"Pub":         {"pub", generic, lower},
	"PyPI":        {"pip", pep440, pythonNames},
	"RubyGems":    {"rubygems", gemVersion, lower},
	"SwiftURL":    {"swift", generic, swiftNames},
	"crates.io":   {"cargo", generic, lower},
	"npm":         {"npm", nodeSemver, lower},
}

func same(name string) []string  { return []string{name} }
func lower(name string) []string { return []string{strings.ToLower(name)} }

func swiftNames(name string) []string {
	return []string{strings.TrimSuffix(strings.TrimPrefix(name, "https://"), ".git")}
}

var pythonSeparators = regexp.MustCompile(`[-_.]+`)

// pythonNames are the name as Trivy spells it, which keeps dots, and as PEP 503
// does, which is how most bills of materials name it.
func pythonNames(name string) []string {
	kept := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	if normal := pythonSeparators.ReplaceAllString(kept, "-"); normal != kept {
		return []string{kept, normal}
	}
	return []string{kept}
}

// system is a family of operating systems.
type system struct {
	root    string         // name of the root bucket, before the release
	release *regexp.Regexp // of OSV's suffix; its first group is Trivy's release, nil for none
	source  string         // data source id
	// introduced reports whether Trivy looks at the first affected version.
	introduced bool
	// unfixed reports whether Trivy reports a record without a fixed version.
	unfixed bool
}

// systems are the operating systems of OSV that Trivy scans by records of this
// form (trivy pkg/detector/ospkg), by OSV's names. Packages are source packages
// for Debian, Ubuntu, Alpine, Wolfi and Chainguard, in OSV as in Trivy, and
// binary packages for the others.
var systems = map[string]system{
	"AlmaLinux":   {root: "alma", release: releases(`(\d+)(?:\.\d+)?`), source: "alma"},
	"Alpine":      {root: "alpine", release: releases(`v?(\d+\.\d+|edge)`), source: "alpine", introduced: true, unfixed: true},
	"Chainguard":  {root: "chainguard", source: "chainguard"},
	"Debian":      {root: "debian", release: releases(`(\d+)(?:\.\d+)?`), source: "debian", unfixed: true},
	"Photon OS":   {root: "Photon OS", release: releases(`(\d+\.\d+)`), source: "photon"},
	"Rocky Linux": {root: "rocky", release: releases(`(\d+)(?:\.\d+)?`), source: "rocky"},
	"Ubuntu":      {root: "ubuntu", release: releases(`(\d+\.\d+)(?::LTS)?`), source: "ubuntu", unfixed: true},
	"Wolfi":       {root: "wolfi", source: "wolfi"},
}

func releases(pattern string) *regexp.Regexp { return whole(pattern) }

// bucket names the root bucket of a release; ok is false when Trivy knows none
// of that name.
func (s system) bucket(release string) (name string, ok bool) {
	if s.release == nil {
		return s.root, release == ""
	}
	found := s.release.FindStringSubmatch(release)
	if found == nil {
		return "", false
	}
	return s.root + " " + found[1], true
}

// redHatSystem is OSV's name of the one whose records have a form of their own (redhat.go).
const redHatSystem = "Red Hat"
