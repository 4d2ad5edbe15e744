package policy

import (
	"regexp"
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

// releaseParts is how many numbers of a distribution's version name its release
// in advisories: Debian 12.5 is of Debian:12, Alpine 3.18.4 of Alpine:v3.18.
var releaseParts = map[string]int{
	"Debian": 1, "Ubuntu": 2, "Alpine": 2, "Red Hat": 1, "Rocky Linux": 1, "AlmaLinux": 1, "openSUSE": 2, "SUSE": 2, "Photon OS": 2,
}

// releaseOf is the distribution's release that a package URL's qualifiers name,
// in the form of the ecosystem's suffix; "" when they name none, or less of one
// than advisories do.
func releaseOf(eco string, p purl.Parts) string {
	count, has := releaseParts[eco]
	if !has {
		return ""
	}
	distro := p.Qualifiers["distro"]
	if distro == "" {
		distro = p.Qualifiers["distro_name"]
	}
	distro = strings.ToLower(distro)
	if eco == "openSUSE" && strings.Contains(distro, "tumbleweed") {
		return "Tumbleweed" // it has no releases but days
	}
	text := distro[strings.LastIndexByte(distro, '-')+1:] // debian-12.5, opensuse-leap-15.4
	if number, known := codenames[text]; known {
		text = number
	}
	text = strings.TrimPrefix(text, "v")
	if text == "edge" && eco == "Alpine" {
		return text
	}
	if text == "" || text[0] < '0' || text[0] > '9' {
		return ""
	}
	numbers := strings.Split(text, ".")
	if len(numbers) < count && eco != "SUSE" { // 15 is what came before its first service pack
		return ""
	}
	text = strings.Join(numbers[:min(count, len(numbers))], ".")
	switch eco {
	case "Alpine":
		return "v" + text
	case "openSUSE":
		return editionOf(distro, "leap", "Leap ", text)
	case "SUSE":
		return editionOf(distro, "", "", strings.TrimSuffix(text, ".0"))
	}
	return text
}

// editionOf is a release of SUSE's distributions, whose Micro editions have
// numbers of their own; "" when the distribution's name lacks word.
func editionOf(distro, word, prefix, release string) string {
	switch {
	case !strings.Contains(distro, word):
		return ""
	case strings.Contains(distro, "micro"), strings.HasPrefix(distro, "slem-"):
		return prefix + "Micro " + release
	}
	return prefix + release
}

// suseProduct is one of SUSE Linux Enterprise: the server, its modules, its
// support after the general one (LTSS, ESPOS). Packages are filed under the
// product that ships them, of which package URLs tell no more than the release.
var suseProduct = regexp.MustCompile(`^(?:SUSE )?Linux Enterprise (Micro )?(?:.* )?([0-9]+(?:\.[0-9]+)?)(?: SP([0-9]+))?(?:-[A-Za-z0-9-]+)?$`)

// suseRelease is the release of a product of SUSE Linux Enterprise, "15.5" of "Linux
// Enterprise Module for Basesystem 15 SP5", "16" of "... Server 16.0", "Micro 5.3"
// of that; other products stay as they are.
func suseRelease(product string) string {
	parts := suseProduct.FindStringSubmatch(product)
	if parts == nil {
		return product
	}
	if parts[3] != "" {
		return parts[1] + parts[2] + "." + parts[3]
	}
	return parts[1] + strings.TrimSuffix(parts[2], ".0")
}

// wantsRelease reports whether advisories of the ecosystem speak of its
// releases, so that a package without one can be in none of them.
func wantsRelease(eco string) bool { return releaseParts[eco] > 0 }
