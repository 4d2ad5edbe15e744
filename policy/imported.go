package policy

import (
	"github.com/stella-ops/exportcenter/finding"
	"github.com/stella-ops/exportcenter/internal/purl"
	"github.com/stella-ops/exportcenter/ledger"
)

// findingsFormat is the ledger's word for lists of another engine's findings.
const findingsFormat = "findings"

// takeOthers takes over what another engine found and decided. Evidence of other
// kinds is in the bundle, and nothing is decided about it here.
func (e *evaluation) takeOthers(doc Document, line *rawLine) error {
	if line.Kind != ledger.KindFinding || line.Format != findingsFormat {
		e.evidence.Other++
		return nil
	}
	list, err := finding.Read(line.Content.Raw)
	if err != nil {
		return unreadable(line.Kind, doc, err)
	}
	e.evidence.FindingLists++
	for i := range list.Findings {
		found := foreign(doc, list.Policy, &list.Findings[i])
		if err := e.findings.add(appendKey(found.findingKey(), leftSide), found); err != nil {
			return err
		}
	}
	return nil
}

// foreign is another engine's finding in our words. The list stands where the
// advisory's document would, and its policy where a title would.
func foreign(doc Document, by finding.Policy, f *finding.Finding) candidate {
	component := Component{Purl: f.Component, Ref: f.Ref, Ecosystem: purl.Ecosystem(f.Component)}
	if p, ok := purl.Split(f.Component); ok {
		component.Name, component.Version = normalName(component.Ecosystem, p.PackageName()), p.Version
	}
	return candidate{
		Advisory: Advisory{
			Document: doc, ID: f.Advisory, Aliases: list(f.Aliases), Upstream: []string{}, CWEs: []string{},
			Title: by.Name + " " + by.Version, Severity: f.Severity, Severities: []Severity{},
		},
		Component: component,
		SBOM:      SBOM{Document: Document{Directory: doc.Directory, Digest: f.Digest}, Subject: f.SBOM},
		Match:     Match{How: imported, Fixed: list(f.Fixed), Packages: []Package{}},
		Decision:  &Decision{Action: Action(f.Action), Reason: f.Reason, Rules: f.Rules},
	}
}
