package attribution

// publisher is who gives documents away, and under which terms.
type publisher struct {
	name    string
	url     string
	licence string // SPDX id
}

// publishers are the ones whose terms are known to this program: advisories by
// the prefix of their OSV id, CSAF documents by the namespace of their publisher.
//
// OSV ids and licences: google.github.io/osv.dev/data and the id prefixes of the
// OSV schema, ossf.github.io/osv-schema. NSWG: github.com/nodejs/security-wg.
// Red Hat: access.redhat.com/security/data.
var publishers = map[string]publisher{
	"ALBA":    almaLinux,
	"ALEA":    almaLinux,
	"ALSA":    almaLinux,
	"BIT":     {"Bitnami Vulnerability Database", "https://github.com/bitnami/vulndb", "Apache-2.0"},
	"GHSA":    {"GitHub Advisory Database", "https://github.com/github/advisory-database", "CC-BY-4.0"},
	"GO":      {"Go Vulnerability Database", "https://github.com/golang/vulndb", "CC-BY-4.0"},
	"GSD":     {"Global Security Database", "https://github.com/cloudsecurityalliance/gsd-database", "CC0-1.0"},
	"HSEC":    {"Haskell Security Advisories", "https://github.com/haskell/security-advisories", "CC0-1.0"},
	"LSN":     ubuntu,
	"MAL":     {"OpenSSF Malicious Packages", "https://github.com/ossf/malicious-packages", "Apache-2.0"},
	"NSWG":    {"Node.js Security Working Group", "https://github.com/nodejs/security-wg", "MIT"},
	"OSV":     {"OSS-Fuzz", "https://github.com/google/oss-fuzz-vulns", "CC-BY-4.0"},
	"PSF":     {"Python Software Foundation Database", "https://github.com/psf/advisory-database", "CC-BY-4.0"},
	"PYSEC":   {"PyPI Advisory Database", "https://github.com/pypa/advisory-database", "CC-BY-4.0"},
	"RSEC":    {"RConsortium Advisory Database", "https://github.com/RConsortium/r-advisory-database", "Apache-2.0"},
	"RUSTSEC": {"Rust Advisory Database", "https://github.com/rustsec/advisory-db", "CC0-1.0"},
	"UBUNTU":  ubuntu,
	"USN":     ubuntu,

	"https://www.redhat.com": {"Red Hat Product Security", "https://access.redhat.com/security/data", "CC-BY-4.0"},
}

var (
	almaLinux = publisher{"AlmaLinux", "https://github.com/AlmaLinux/osv-database", "MIT"}
	ubuntu    = publisher{"Ubuntu", "https://github.com/canonical/ubuntu-security-notices", "CC-BY-SA-4.0"}
)
