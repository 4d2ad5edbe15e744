package policy

import (
	"strings"

	"github.com/stella-ops/exportcenter/internal/purl"
)

// codenames are the releases that package URLs name by a word (Debian and
// Ubuntu, as their archives have them).
var codenames = map[string]string{
	"buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14",
	"stretch": "9", "jessie": "8", "wheezy": "7",
	"trusty": "14.04", "xenial": "16.04", "bionic": "18.04", "focal": "20.04", "jammy": "22.04", "noble": "24.04",
}

// parts is how many numbers of a distribution's version name its release in
// advisories: Debian 12.5 is of Debian:12, Alpine 3.18.4 of Alpine:v3.18.
var releaseParts = map[string]int{
	"Debian": 1, "Ubuntu": 2, "Alpine": 2, "Red Hat": 1, "Rocky Linux": 1, "AlmaLinux": 1, "openSUSE": 2,
}

// releaseOf is the distribution's release that a package URL's qualifiers name,
// in the form of the ecosystem's suffix; "" when they name none.
func releaseOf(eco string, p purl.Parts) string {
	count, has := releaseParts[eco]
	if !has {
		return ""
	}
	text := p.Qualifiers["distro"]
	if text == "" {
		text = p.Qualifiers["distro_name"]
	}
	text = strings.ToLower(text)
	if at := strings.LastIndexByte(text, '-'); at >= 0 { // debian-12.5, opensuse-leap-15.4
		text = text[at+1:]
	}
	if number, known := codenames[text]; known {
		text = number
	}
	text = strings.TrimPrefix(text, "v")
	if text == "" || (text[0] < '0' || text[0] > '9') && text != "edge" {
		return ""
	}
	numbers := strings.Split(text, ".")
	text = strings.Join(numbers[:min(count, len(numbers))], ".")
	switch {
	case eco == "Alpine" && text != "edge":
		return "v" + text
	case eco == "openSUSE":
		return "Leap " + text
	}
	return text
}

// wantsRelease reports whether advisories of the ecosystem speak of its
// releases, so that a package without one can be in none of them.
func wantsRelease(eco string) bool { return releaseParts[eco] > 0 }
