package attribution

// publisher is who gives documents away, and under which terms.
type publisher struct {
	name    string
	url     string
	licence string // SPDX id
	each    bool   // documents may state another one
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
	"BIT":     {name: "Bitnami Vulnerability Database", url: "https://github.com/bitnami/vulndb", licence: "Apache-2.0"},
	"GHSA":    {name: "GitHub Advisory Database", url: "https://github.com/github/advisory-database", licence: "CC-BY-4.0"},
	"GO":      {name: "Go Vulnerability Database", url: "https://github.com/golang/vulndb", licence: "CC-BY-4.0"},
	"GSD":     {name: "Global Security Database", url: "https://github.com/cloudsecurityalliance/gsd-database", licence: "CC0-1.0"},
	"HSEC":    {name: "Haskell Security Advisories", url: "https://github.com/haskell/security-advisories", licence: "CC0-1.0"},
	"LSN":     ubuntu,
	"MAL":     {name: "OpenSSF Malicious Packages", url: "https://github.com/ossf/malicious-packages", licence: "Apache-2.0"},
	"NSWG":    {name: "Node.js Security Working Group", url: "https://github.com/nodejs/security-wg", licence: "MIT"},
	"OSV":     {name: "OSS-Fuzz", url: "https://github.com/google/oss-fuzz-vulns", licence: "CC-BY-4.0"},
	"PSF":     {name: "Python Software Foundation Database", url: "https://github.com/psf/advisory-database", licence: "CC-BY-4.0"},
	"PYSEC":   {name: "PyPI Advisory Database", url: "https://github.com/pypa/advisory-database", licence: "CC-BY-4.0"},
	"RSEC":    {name: "RConsortium Advisory Database", url: "https://github.com/RConsortium/r-advisory-database", licence: "Apache-2.0"},
	"RUSTSEC": {name: "Rust Advisory Database", url: "https://github.com/rustsec/advisory-db", licence: "CC0-1.0", each: true},
	"UBUNTU":  ubuntu,
	"USN":     ubuntu,

	"https://www.redhat.com": {name: "Red Hat Product Security", url: "https://access.redhat.com/security/data", licence: "CC-BY-4.0"},
}

var (
	almaLinux = publisher{name: "AlmaLinux", url: "https://github.com/AlmaLinux/osv-database", licence: "MIT"}
	ubuntu    = publisher{name: "Ubuntu", url: "https://github.com/canonical/ubuntu-security-notices", licence: "CC-BY-SA-4.0"}
)
