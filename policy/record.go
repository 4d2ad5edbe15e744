package policy

import (
	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/vex"
)

// Document names the evidence that something was read from.
type Document struct {
	// Directory is that of its file: data/raw, or another tenant's.
	Directory  string `json:"directory"`
	Digest     string `json:"digest"` // of the bytes that were imported
	Format     string `json:"format"`
	Source     string `json:"source"`
	Stream     string `json:"stream"`
	UpstreamID string `json:"upstreamId"`
}

// Severity is one statement of how bad it is.
type Severity struct {
	Score   float64 `json:"score"`
	Vector  string  `json:"vector"`
	Version string  `json:"version"`
	Word    string  `json:"word"`
}

// Advisory is what a pack is told of an advisory.
type Advisory struct {
	Document
	ID      string   `json:"id"`
	Aliases []string `json:"aliases"`
	// Upstream are ids of what the advisory is about without being it.
	Upstream  []string `json:"upstream"`
	CWEs      []string `json:"cwes"`
	Title     string   `json:"title"`
	Published string   `json:"published"`
	Modified  string   `json:"modified"`
	// Severity is the worst word of what is said of this package, else of the
	// advisory: critical, high, medium, low, none, or unknown.
	Severity   string     `json:"severity"`
	Score      float64    `json:"score"` // the greatest of the same
	Severities []Severity `json:"severities"`
	// Status is a source's word about a package without a fix.
	Status string `json:"status"`
}

// Component is what a pack is told of a component.
type Component struct {
	Ecosystem string `json:"ecosystem"` // without its release
	Name      string `json:"name"`
	Purl      string `json:"purl"`
	Ref       string `json:"ref"`
	Version   string `json:"version"`
}

// SBOM is what a pack is told of the bill of materials that has the component.
type SBOM struct {
	Document
	ID      string `json:"id"`
	Subject string `json:"subject"`
}

// Match says why the advisory is about the component.
type Match struct {
	How verdict `json:"how"` // version, range, undetermined or imported
	// Fixed are versions that are not affected any more: the first behind the
	// component's, of each range.
	Fixed    []string  `json:"fixed"`
	Packages []Package `json:"packages"`
	Why      string    `json:"why"` // it is undetermined; "" otherwise
}

// Package is a package under which the component was looked up and found.
type Package struct {
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
	Version   string `json:"version"`
}

// Statement is a VEX statement about the finding.
type Statement struct {
	Document
	Action        string `json:"action"`
	At            string `json:"at"`
	Impact        string `json:"impact"`
	Justification string `json:"justification"`
	Status        string `json:"status"`
	Vulnerability string `json:"vulnerability"`
}

// Question is what a pack is asked about one finding: its input.
type Question struct {
	Advisory  Advisory  `json:"advisory"`
	Component Component `json:"component"`
	Match     Match     `json:"match"`
	SBOM      SBOM      `json:"sbom"`
	// Statements are those about the finding, the one that stands first, at most
	// maxStatements of them.
	Statements []Statement `json:"statements"`
	// VEX is the statement that stands: the first of Statements; null without one.
	VEX *Statement `json:"vex"`
}

// maxStatements bounds what a pack is shown; StatementCount in the trace counts
// all.
const maxStatements = 16

// Finding is a line of findings.
type Finding struct {
	ID       string          `json:"id"`
	Action   Action          `json:"action"`
	Reason   string          `json:"reason"`
	Rules    []string        `json:"rules"`
	Severity string          `json:"severity"`
	Advisory FindingAdvisory `json:"advisory"`
	// Component and SBOM say where.
	Component Component   `json:"component"`
	SBOM      FindingSBOM `json:"sbom"`
	Fixed     []string    `json:"fixed"`
	Match     verdict     `json:"match"`
	VEX       string      `json:"vex"` // the standing statement's status, "" without one
}

// FindingAdvisory names the advisory of a finding.
type FindingAdvisory struct {
	ID      string   `json:"id"`
	Aliases []string `json:"aliases"`
	Digest  string   `json:"digest"`
	Source  string   `json:"source"`
	Stream  string   `json:"stream"`
}

// FindingSBOM names the bill of materials of a finding.
type FindingSBOM struct {
	Digest  string `json:"digest"`
	Source  string `json:"source"`
	Stream  string `json:"stream"`
	Subject string `json:"subject"`
}

// Trace is a line of the decision trace: the whole question and the answer, so
// that anybody with OPA and the pack can ask it again.
type Trace struct {
	FindingID string   `json:"findingId"`
	Input     Question `json:"input"`
	Decision  Decision `json:"decision"`
	// StatementCount counts the statements about the finding, those included
	// that are not in the input.
	StatementCount int64 `json:"statementCount"`
}

// affectedItem is an affected package of an advisory, on its way to the join.
type affectedItem struct {
	Advisory Advisory          `json:"advisory"`
	Affected advisory.Affected `json:"affected"`
	listed   listed            // Affected.Versions, in memory only
}

// componentItem is a component under one of its places.
type componentItem struct {
	SBOM      SBOM      `json:"sbom"`
	Component Component `json:"component"`
	Version   string    `json:"version"`
	Arch      string    `json:"arch"`
	Module    string    `json:"module"`
	// SBOMVersion and Main are its SBOM's, for references to it.
	SBOMVersion string `json:"sbomVersion,omitempty"`
	Main        string `json:"main,omitempty"`
}

// candidate is a finding before VEX and pack.
type candidate struct {
	Advisory  Advisory  `json:"advisory"`
	Component Component `json:"component"`
	Match     Match     `json:"match"`
	SBOM      SBOM      `json:"sbom"`
	// Decision is another engine's; nil when the pack is to be asked.
	Decision *Decision `json:"decision,omitempty"`
}

// statementItem is a statement on its way to the join.
type statementItem struct {
	Document  Document      `json:"document"`
	Statement vex.Statement `json:"statement"`
}

// subjectItem is what the join with statements needs of a candidate.
type subjectItem struct {
	Key  []byte `json:"key"` // the finding's
	Purl string `json:"purl"`
	Ref  string `json:"ref"`
	// Of the SBOM: where it is and what it is, its own id and version, what it is
	// about and its reference to that.
	Directory   string `json:"directory"`
	Digest      string `json:"digest"`
	SBOMID      string `json:"sbomId"`
	SBOMVersion string `json:"sbomVersion"`
	Subject     string `json:"subject"`
	Main        string `json:"main"`
}
