package frontend

import "github.com/stella-ops/exportcenter/comparison"

// changeDocument is a change as clients see it.
func changeDocument(c comparison.Change) DocumentChange {
	doc := DocumentChange{Change: DocumentChangeChange(c.Change), Kind: c.Kind, Source: c.Source, Stream: c.Stream, ID: c.ID,
		Aliases: append([]string{}, c.Aliases...), AliasesAdded: c.AliasesAdded, AliasesRemoved: c.AliasesRemoved, More: c.More, Note: c.Note}
	for _, what := range c.What {
		doc.What = append(doc.What, DocumentChangeWhat(what))
	}
	for _, s := range c.Severity {
		doc.Severity = append(doc.Severity, SeverityChange{Vulnerability: s.Of.Vulnerability, Ecosystem: s.Of.Ecosystem, Name: s.Of.Name,
			Module: s.Of.Module, From: severityDocument(s.From), To: severityDocument(s.To)})
	}
	for _, p := range c.Packages {
		doc.Packages = append(doc.Packages, PackageChange{Vulnerability: p.Of.Vulnerability, Ecosystem: p.Of.Ecosystem, Name: p.Of.Name,
			Module: p.Of.Module, Change: PackageChangeChange(p.Change), RangesAdded: p.RangesAdded, RangesRemoved: p.RangesRemoved,
			VersionsAdded: p.VersionsAdded, VersionsRemoved: p.VersionsRemoved, FixedAdded: p.FixedAdded, FixedRemoved: p.FixedRemoved})
	}
	if c.Withdrawn != nil {
		doc.Withdrawn = &WithdrawnChange{From: c.Withdrawn.From, To: c.Withdrawn.To}
	}
	for _, s := range c.Statements {
		doc.Statements = append(doc.Statements, StatementChange{Vulnerability: s.Vulnerability, Product: s.Product, Within: s.Within, From: s.From, To: s.To})
	}
	if c.Components != nil {
		doc.Components = &ComponentsChange{Added: c.Components.Added, Removed: c.Components.Removed}
	}
	return doc
}

// severityDocument is nil where nothing was said.
func severityDocument(s comparison.Severity) *SeveritySaid {
	if len(s.Said) == 0 {
		return nil
	}
	return &SeveritySaid{Word: s.Word, Said: s.Said}
}
