package trivydb

import (
	"cmp"
	"regexp"
	"strings"
)

// grammar is how the versions of an ecosystem are written, as far as the
// comparer that Trivy v0.69 uses for it reads them (trivy pkg/detector/library/compare).
// A version it does not read would make Trivy pass over the whole record, with
// one line in its log: such a version never gets into one.
type grammar struct {
	name  string // for messages
	reads *regexp.Regexp
	// normal is the spelling that the comparer takes for what is meant.
	normal func(version string) string
	equal  string // the sign before a single version
	// preReleases reports whether "<version" leaves out the pre-releases of
	// version; nil when it never does.
	preReleases func(version string) bool
}

// The grammars, each after the comparer's own.
var (
	generic = &grammar{name: "version", equal: "=", reads: whole(
		`v?` + part + `(\.` + part + `)*` +
			`(-?[A-Za-z~-][0-9A-Za-z~-]*(\.[0-9A-Za-z~-]+)*|-[0-9][0-9A-Za-z~-]*(\.[0-9A-Za-z~-]+)*)?` +
			`(\+[0-9A-Za-z~-]+(\.[0-9A-Za-z~-]+)*)?`)}
	nodeSemver = &grammar{name: "npm version", equal: "=", normal: threeParts, reads: whole(
		`(0|[1-9]` + few + `)\.(0|[1-9]` + few + `)\.(0|[1-9]` + few + `)` +
			`(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?` +
			`(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?`)}
	pep440 = &grammar{name: "PEP 440 version", equal: "==", preReleases: isFinal, normal: spellPEP440, reads: whole(
		`([0-9]{1,9}!)?` + part + `(\.` + part + `)*((a|b|rc)[0-9]{1,18})?(\.post[0-9]{1,18})?(\.dev[0-9]{1,18})?`)}
	mavenVersion = &grammar{name: "Maven version", equal: "=", reads: whole(`[0-9A-Za-z._~-]+`)}
	gemVersion   = &grammar{name: "RubyGems version", equal: "=", reads: whole(
		part + `(\.[0-9a-zA-Z]+)*(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?`)}
)

// Numbers of a version, as far as 64 bits hold them.
const (
	part = `[0-9]{1,18}`
	few  = `[0-9]{0,17}`
)

func whole(pattern string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + pattern + `)$`) }

// read gives a version in the comparer's spelling; ok is false when the
// comparer does not read it.
func (g *grammar) read(version string) (spelled string, ok bool) {
	if g.normal != nil {
		version = g.normal(version)
	}
	return version, len(version) <= maxVersion && g.reads.MatchString(version)
}

// maxVersion is far more than any version has.
const maxVersion = 256

// threeParts spells an npm version with major, minor and patch: the comparer
// takes "<2" for "any version that begins with less than 2".
func threeParts(version string) string {
	version = strings.TrimPrefix(strings.TrimPrefix(version, "="), "v")
	numbers, rest := version, ""
	if at := strings.IndexAny(version, "-+"); at >= 0 {
		numbers, rest = version[:at], version[at:]
	}
	for range 2 - strings.Count(numbers, ".") {
		numbers += ".0"
	}
	return numbers + rest
}

// spellPEP440 gives a version's normal form (PEP 440, "Normalization"). Trivy
// finds versions in a condition by a pattern that takes the "b" of "1.0beta2"
// for all of it. Local versions keep their spelling, which no pattern here
// reads: nobody publishes them, and ranges cannot end in them.
func spellPEP440(version string) string {
	found := anyPEP440.FindStringSubmatch(strings.ToLower(version))
	if found == nil {
		return version
	}
	spelled := found[1]
	if word := found[2]; word != "" {
		spelled += preWords[word] + cmp.Or(found[3], "0")
	}
	if found[4] != "" {
		spelled += ".post" + found[4]
	} else if found[5] != "" {
		spelled += ".post" + cmp.Or(found[6], "0")
	}
	if found[7] != "" {
		spelled += ".dev" + cmp.Or(found[8], "0")
	}
	return spelled
}

var anyPEP440 = whole(`v?((?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*)` +
	`(?:[._-]?(alpha|beta|preview|pre|rc|a|b|c)[._-]?([0-9]*))?` +
	`(?:-([0-9]+)|[._-]?(post|rev|r)[._-]?([0-9]*))?` +
	`(?:[._-]?(dev)[._-]?([0-9]*))?`)

var preWords = map[string]string{
	"alpha": "a", "a": "a", "beta": "b", "b": "b", "c": "rc", "rc": "rc", "pre": "rc", "preview": "rc",
}

// isFinal reports whether a PEP 440 version is no pre-release. "<2.0" does not
// match 2.0rc1 there (PEP 440, "Exclusive ordered comparison").
func isFinal(version string) bool { return !strings.ContainsAny(version, "abcd") } // not "post"
