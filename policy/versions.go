package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/osv-scalibr/semantic"
)

// MatcherName names the program part that compares versions; its version is the
// one in go.mod, and a test compares them.
const MatcherName = "github.com/google/osv-scalibr/semantic@v0.5.3"

// errVersion is wrapped by what parseVersion returns.
var errVersion = errors.New("cannot be compared")

// order is how versions compare: that of an ecosystem, or semver 2.0.
type order string

// orderOf is the order that a range is in (OSV schema, "affected[].ranges[].type").
func orderOf(ecosystem, rangeType string) order {
	if rangeType == "SEMVER" {
		return "npm" // semver 2.0
	}
	return order(base(ecosystem))
}

// semverForm is what semver 2.0 takes, and what is written beside it: a leading v,
// fewer numbers. A fourth number would be read as a pre-release.
var semverForm = regexp.MustCompile(`^[vV]?[0-9]+(?:\.[0-9]+){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$`)

// forms are what versions of an ecosystem look like. The library reads anything
// as some version; what an ecosystem would refuse must not be compared.
var forms = map[order]*regexp.Regexp{
	"npm": semverForm, "Go": semverForm, "crates.io": semverForm, "Hex": semverForm, "SwiftURL": semverForm, "Bitnami": semverForm,
	"ConanCenter": semverForm, "Julia": semverForm, "GitHub Actions": semverForm,
	"Pub":       semverForm,
	"PyPI":      regexp.MustCompile(`(?i)^\s*v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*(?:[-_.]?(?:a|b|c|rc|alpha|beta|pre|preview)[-_.]?[0-9]*)?(?:-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?(?:[-_.]?dev[-_.]?[0-9]*)?(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?\s*$`),
	"Maven":     regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._+-]*$`),
	"NuGet":     regexp.MustCompile(`^[vV]?[0-9]+(?:\.[0-9]+){0,3}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$`),
	"RubyGems":  regexp.MustCompile(`^[0-9]+(?:\.[0-9A-Za-z]+)*(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$`),
	"Packagist": regexp.MustCompile(`(?i)^v?[0-9]+(?:\.[0-9]+){0,3}(?:[._-]?(?:stable|beta|b|rc|alpha|a|patch|pl|p)(?:[.-]?[0-9]+)*)?(?:[.-]?dev)?(?:\+[^\s]*)?$`),
	"Alpine":    regexp.MustCompile(`^[0-9]+(?:\.[0-9]+)*[a-z]?(?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*(?:~[0-9a-f]+)?(?:-r[0-9]+)?$`),
	"Debian":    regexp.MustCompile(`^(?:[0-9]+:)?[0-9][0-9A-Za-z.+~:-]*$`),
	"Red Hat":   regexp.MustCompile(`^(?:[0-9]+:)?[0-9A-Za-z][0-9A-Za-z._+~^-]*$`),
	"CRAN":      regexp.MustCompile(`^[0-9]+(?:[.-][0-9]+)*$`),
	"Hackage":   regexp.MustCompile(`^[0-9]+(?:\.[0-9]+)*$`),
}

// sameForm are orders that another's form goes for.
var sameForm = map[order]order{
	"Ubuntu": "Debian", "Wolfi": "Alpine", "Chainguard": "Alpine", "Alpaquita": "Alpine",
	"AlmaLinux": "Red Hat", "Rocky Linux": "Red Hat", "SUSE": "Red Hat", "openSUSE": "Red Hat", "Photon OS": "Red Hat", "Mageia": "Red Hat", "openEuler": "Red Hat",
}

// hasOrder reports whether versions of an order can be compared at all.
func hasOrder(in order) bool {
	if same, has := sameForm[in]; has {
		in = same
	}
	return forms[in] != nil
}

// sameOrder are ecosystems the library does not know by that name.
var sameOrder = map[order]order{"GitHub Actions": "npm", "Photon OS": "Red Hat"}

// maxVersion bounds a version's text: comparing takes time by its square.
const maxVersion = 256

// parseVersion reads a version in an order. Errors wrap errVersion.
func parseVersion(in order, text string) (semantic.Version, error) {
	if len(text) > maxVersion {
		return nil, fmt.Errorf("version of %d bytes %w", len(text), errVersion)
	}
	form := in
	if same, has := sameForm[in]; has {
		form = same
	}
	pattern := forms[form]
	if pattern == nil {
		return nil, fmt.Errorf("version %.80q %w: no order of versions is known for %q", text, errVersion, string(in))
	}
	clean := normalVersion(in, text)
	if !pattern.MatchString(clean) {
		return nil, fmt.Errorf("version %.80q %w: it is none of %s", text, errVersion, in)
	}
	if same, has := sameOrder[in]; has {
		in = same
	}
	v, err := semantic.Parse(clean, string(in))
	if err != nil {
		return nil, fmt.Errorf("version %.80q %w: %w", text, errVersion, err)
	}
	return v, nil
}

// gemPlatform is what RubyGems appends for a build: 1.13.0-x86_64-linux.
var gemPlatform = regexp.MustCompile(`-(?:java|jruby|universal|x86|x64|i[3-6]86|arm|aarch64|mswin|mingw)[0-9A-Za-z_.-]*$`)

// composerVersion is a Composer version: numbers, then a stability.
var composerVersion = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+){0,3})(.*)$`)

// normalVersion removes what is written around a version and orders nothing.
func normalVersion(in order, text string) string {
	text = strings.TrimSpace(text)
	switch in {
	case "Go": // go1.21.3, as toolchains call themselves
		return strings.TrimPrefix(text, "go")
	case "npm":
		return strings.TrimPrefix(text, "=")
	case "RubyGems":
		return gemPlatform.ReplaceAllString(text, "")
	case "Packagist":
		return composer(text)
	}
	if form := sameForm[in]; in == "Alpine" || form == "Alpine" {
		return strings.TrimPrefix(text, "v")
	}
	return text
}

// composer fills a Composer version up to four numbers, as Composer does before
// it compares: 1.0 and 1.0.0 are the same version.
func composer(text string) string {
	text = strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(text, "v"), "V"))
	text, _, _ = strings.Cut(text, "+")
	parts := composerVersion.FindStringSubmatch(text)
	if parts == nil {
		return text
	}
	stability := parts[2]
	if rest, ok := strings.CutPrefix(strings.TrimLeft(stability, "._-"), "stable"); ok {
		stability = rest
	}
	return parts[1] + strings.Repeat(".0", 3-strings.Count(parts[1], ".")) + stability
}

// compare orders two versions of one order. The library's error says that they
// are of different ones, which parseVersion does not give.
func compare(a, b semantic.Version) (int, error) {
	n, err := a.Compare(b)
	if err != nil {
		return 0, fmt.Errorf("versions %w: %w", errVersion, err)
	}
	return n, nil
}
