package trivydb

import (
	"regexp"
	"strings"

	"github.com/stella-ops/exportcenter/advisory"
)

// publisher is whose advisories Trivy takes a document for: it chooses the
// severity to show by that (trivy pkg/vulnerability, autoDetectSeverity).
type publisher struct {
	id  string // of trivy-db pkg/vulnsrc/vulnerability
	url string
}

// unknown is of documents whose id says nothing more.
var unknown = publisher{"osv", "https://osv.dev/"}

// publishers are told by how ids begin.
var publishers = map[string]publisher{
	"ALPINE": {"alpine", "https://secdb.alpinelinux.org/"},
	"ALBA":   alma, "ALEA": alma, "ALSA": alma,
	"CGA":    {"chainguard", "https://images.chainguard.dev/security"},
	"DEBIAN": debian, "DLA": debian, "DSA": debian, "DTSA": debian,
	"GHSA":  {"ghsa", "https://github.com/advisories"},
	"GO":    {"govulndb", "https://pkg.go.dev/vuln/"},
	"JLSEC": {"julia", "https://github.com/JuliaLang/SecurityAdvisories.jl"},
	"NSWG":  {"nodejs-security-wg", "https://github.com/nodejs/security-wg"},
	"RHBA":  redHat, "RHEA": redHat, "RHSA": redHat,
	"RLSA": rocky, "RXSA": rocky,
	"LSN": ubuntu, "UBUNTU": ubuntu, "USN": ubuntu,
}

var (
	alma   = publisher{"alma", "https://errata.almalinux.org/"}
	debian = publisher{"debian", "https://security-tracker.debian.org/tracker/"}
	redHat = publisher{"redhat", "https://access.redhat.com/security/"}
	rocky  = publisher{"rocky", "https://errata.rockylinux.org/"}
	ubuntu = publisher{"ubuntu", "https://ubuntu.com/security/"}
)

// precedence is the order in which Trivy asks data sources for a title, a
// description and a severity (trivy-db, AllSourceIDs).
var precedence = []string{
	"redhat", "debian", "ubuntu", "alpine", "photon", "alma", "rocky", "nodejs-security-wg",
	"ghsa", "osv", "wolfi", "chainguard", "govulndb", "julia",
}

// publisherOf tells by a document's id, else by the operating system that it is
// about first.
func publisherOf(id string, affected []advisory.Affected) publisher {
	prefix, _, _ := strings.Cut(id, "-")
	if p, known := publishers[prefix]; known {
		return p
	}
	for _, a := range affected {
		ecosystem, _, _ := strings.Cut(a.Ecosystem, ":")
		if ecosystem == redHatSystem {
			return redHat
		}
		if sys, known := systems[ecosystem]; known {
			return publisher{id: sys.source}
		}
	}
	return unknown
}

var cve = regexp.MustCompile(`^(?:[A-Z]+-)?(CVE-[0-9]{4}-[0-9]{4,})$`)

// identify gives the ids under which records of a document go, and the others:
// its CVE ids, also those that a distribution's id wraps ("DEBIAN-CVE-2024-1"),
// else its GHSA id, else its own.
func identify(id string, aliases []string) (ids, others []string) {
	var ghsa string
	for _, name := range append([]string{id}, aliases...) {
		if found := cve.FindStringSubmatch(name); found != nil {
			ids = append(ids, found[1])
			if found[1] == name {
				continue
			}
		} else if ghsa == "" && strings.HasPrefix(name, "GHSA-") {
			ghsa = name
		}
		others = append(others, name)
	}
	switch {
	case len(ids) > 0:
	case ghsa != "":
		ids = []string{ghsa}
	default:
		ids = []string{id}
	}
	return unique(ids), without(unique(others), ids)
}
