// Package advisory says what an advisory means: which versions of which
// packages are affected, how badly, and what it refers to. It reads the
// canonical form of a document that the ledger took in, so what it reads is
// well-formed; what it cannot make sense of it names and leaves out.
//
// Nothing here compares versions: a range is what its publisher wrote.
package advisory

// Advisory is one document, read.
type Advisory struct {
	// ID is the document's own id. Aliases are its other ids, sorted, unique,
	// without ID.
	ID      string
	Aliases []string
	// Upstream are ids of what the document is about without being it, sorted,
	// unique: the CVEs that a distribution's advisory fixes.
	Upstream []string
	// Withdrawn is the publisher's time of withdrawal, RFC 3339, "" for an
	// advisory that stands.
	Withdrawn string
	// Published and Modified are RFC 3339 UTC, "" when the document has none.
	Published string
	Modified  string

	Title       string
	Description string
	// References are the URLs, in the document's order, each once.
	References []string
	// CWEs are "CWE-79", sorted, unique.
	CWEs []string
	// Severities are what the document says of itself as a whole.
	Severities []Severity
	Affected   []Affected
	// Vulnerabilities are what a document says of each, when it speaks of several
	// (CSAF); nil elsewhere. Split makes one advisory of each.
	Vulnerabilities []Vulnerability
	// Unread names what the document has and this reader makes nothing of, in
	// words for a person: "affected[3]: ranges of type GIT only".
	Unread []string
}

// Vulnerability is one of those a document speaks of.
type Vulnerability struct {
	ID          string // "CVE-2024-8088", else another id the document gives
	Aliases     []string
	Title       string
	Description string
	References  []string
	CWEs        []string
	Severities  []Severity
	Published   string
}

// Severity is one statement of how bad it is: a CVSS vector, or a word.
type Severity struct {
	// Version of CVSS: "2.0", "3.0", "3.1", "4.0"; "" for a word.
	Version string
	Vector  string  // as published
	Score   float64 // base score; 0 when only a word is given
	// Word is critical, high, medium, low or none: the publisher's own, else
	// that of the score.
	Word string
}

// Affected says which versions of one package are affected.
type Affected struct {
	// Vulnerability is the ID of one of the document's Vulnerabilities, "" for
	// what the document as a whole is about.
	Vulnerability string
	// Ecosystem is OSV's name for it, with its release where it has one: "npm",
	// "Debian:12" (OSV schema 1.6, "Defined ecosystems").
	Ecosystem string
	// Name is the package's name in the ecosystem's own form: "lodash",
	// "org.apache.logging.log4j:log4j-core". It is not normalised.
	Name string
	// Purl is the package URL, given or derived, "" where there is none.
	Purl string
	// Ranges and Versions are alternatives: a version is affected when one of
	// the ranges holds it or the list names it.
	Ranges     []Range
	Versions   []string
	Severities []Severity // of this package alone
	// Module is the stream of a modular RPM, "nodejs:18", "" elsewhere: the fixed
	// version is one of that stream only.
	Module string
	// FixedBy is the URL of the advisory that brings the fix, "" when none is named.
	FixedBy string
	// Status is what a source says of packages without a fix, in the words of
	// Trivy's statuses ("affected", "will_not_fix", ...), "" for nothing.
	Status string
	// Arches are the architectures a fix is for, sorted; nil is all. "src" is the
	// source package.
	Arches []string
}

// Range is the affected versions between events, in their ecosystem's order of
// versions (type ECOSYSTEM) or that of semver 2.0 (type SEMVER).
type Range struct {
	Type   string // "SEMVER" or "ECOSYSTEM"
	Events []Event
}

// Event has one of its members set. "0" as Introduced is before every version.
type Event struct {
	Introduced   string // the first affected version
	Fixed        string // the first version that is not
	LastAffected string // the last affected version
	Limit        string // no version from here on is of this range
}
