package policy

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/purl"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/sbom"
	"github.com/stella-ops/exportcenter/vex"
)

// readers understand the canonical form of documents.
type readers struct {
	advisory func(format string, canonical []byte) (advisory.Advisory, error)
	sbom     func(format string, canonical []byte) (sbom.Inventory, error)
	vex      func(format string, canonical []byte) (vex.Document, error)
}

// Sides of a join. Within a group the right side comes last, so that it can be
// streamed past what is held of the left one.
const (
	leftSide  = "a"
	rightSide = "b"
)

// take takes over what one document says, in the room that is for it.
func (e *evaluation) take(directory string, line *rawLine) error {
	doc := line.document(directory)
	e.sources.document(line)
	e.budget.begin(len(line.Content.Raw))
	defer e.budget.end()
	err := e.takeDocument(doc, line)
	if errors.Is(err, errRepeats) {
		return unreadable(line.Kind, doc, err)
	}
	return err
}

func (e *evaluation) takeDocument(doc Document, line *rawLine) error {
	if e.in.Engine == EngineImported {
		return e.takeOthers(doc, line)
	}
	switch line.Kind {
	case ledger.KindAdvisory:
		return e.takeAdvisory(doc, line.Content.Raw)
	case ledger.KindSBOM:
		return e.takeSBOM(doc, line.Content.Raw)
	case ledger.KindVEX:
		return e.takeVEX(doc, line.Content.Raw)
	}
	e.evidence.Other++
	return nil
}

// unreadable is why a document ends the evaluation: to go on without it would be
// a decision about evidence that nobody has seen.
func unreadable(kind ledger.Kind, doc Document, err error) error {
	return export.Errorf(export.CodeValidation, "%s %.200s of source %s, stream %q, cannot be decided on: %v; leave it out with the run's selectors, or import it mended",
		kind, doc.UpstreamID, doc.Source, doc.Stream, err)
}

func (e *evaluation) takeAdvisory(doc Document, raw []byte) error {
	read, err := e.readers.advisory(doc.Format, raw)
	if err != nil {
		return unreadable(ledger.KindAdvisory, doc, err)
	}
	e.evidence.Advisories++
	e.noteAll("advisory", doc, read.Unread)
	if read.Withdrawn != "" {
		e.evidence.Withdrawn++
		return nil
	}
	for _, one := range read.Split() {
		if err := e.takeVulnerability(doc, &one); err != nil {
			return err
		}
	}
	return nil
}

// takeVulnerability takes over what is affected by one vulnerability.
func (e *evaluation) takeVulnerability(doc Document, read *advisory.Advisory) error {
	told := Advisory{
		Document: doc, ID: read.ID, Upstream: list(read.Upstream), Aliases: list(read.Aliases), CWEs: list(read.CWEs),
		Title: cut(read.Title), Published: read.Published, Modified: read.Modified,
	}
	for i, affected := range read.Affected {
		eco, name := affected.Ecosystem, affected.Name
		if eco == "" || name == "" {
			if eco, name = placeByPurl(affected.Purl); eco == "" {
				e.evidence.AffectedWithoutPackage++
				e.unread.note(fmt.Sprintf("advisory %s of %s: affected[%d] names no ecosystem and package", doc.UpstreamID, doc.Source, i))
				continue
			}
			affected.Ecosystem, affected.Name = eco, name
		}
		e.evidence.AffectedPackages++
		said := affected.Severities
		if len(said) == 0 {
			said = read.Severities
		}
		told.Severity, told.Score = worst(said)
		told.Severities, told.Status = severities(said), affected.Status
		affected.Severities, affected.Purl = nil, ""
		at := placeOf(eco, name)
		if err := e.packages.add(appendKey(nil, at.ecosystem, at.name, leftSide), affectedItem{Advisory: told, Affected: affected}); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) takeSBOM(doc Document, raw []byte) error {
	inventory, err := e.readers.sbom(doc.Format, raw)
	if err != nil {
		return unreadable(ledger.KindSBOM, doc, err)
	}
	e.evidence.SBOMs++
	e.noteAll("sbom", doc, inventory.Unread)
	told := SBOM{Document: doc, ID: inventory.ID, Subject: inventory.Subject}
	for i := range inventory.Components {
		if err := e.takeComponent(told, &inventory, &inventory.Components[i]); err != nil {
			return err
		}
	}
	if doc.Format != "cyclonedx" {
		return nil
	}
	return e.takeVEX(doc, raw) // a CycloneDX document may be both
}

func (e *evaluation) takeComponent(of SBOM, in *sbom.Inventory, c *sbom.Component) error {
	e.evidence.Components++
	if c.Purl == "" {
		e.evidence.ComponentsWithoutPurl++
		return nil
	}
	p, ok := purl.Split(c.Purl)
	if !ok {
		e.evidence.ComponentsWithoutPurl++
		e.unread.note(fmt.Sprintf("sbom %s of %s: component %.200q has no package URL, but %.200q", of.UpstreamID, of.Source, c.Ref, c.Purl))
		return nil
	}
	places := placesOf(c, p)
	if len(places) == 0 {
		e.evidence.ComponentsWithoutEcosystem++
		return nil
	}
	eco := base(places[0].ecosystem)
	if wantsRelease(eco) && releaseOf(eco, p) == "" {
		e.evidence.ComponentsWithoutRelease++
		e.unread.note(fmt.Sprintf("sbom %s of %s: component %.200q names no release of %s, so no advisory of a release can be about it", of.UpstreamID, of.Source, c.Purl, eco))
	}
	told := Component{Ecosystem: eco, Name: places[0].name, Purl: c.Purl, Ref: c.Ref, Version: c.Version}
	if told.Version == "" {
		told.Version = p.Version
	}
	for _, at := range places {
		item := componentItem{SBOM: of, Component: told, Version: at.version, Arch: p.Qualifiers["arch"], Module: moduleOf(c, p), SBOMVersion: in.Version, Main: in.Main}
		if err := e.packages.add(appendKey(nil, at.ecosystem, at.name, rightSide), item); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) takeVEX(doc Document, raw []byte) error {
	read, err := e.readers.vex(doc.Format, raw)
	if err != nil {
		return unreadable(ledger.KindVEX, doc, err)
	}
	if len(read.Statements) > 0 || doc.Format != "cyclonedx" {
		e.evidence.VEXDocuments++
	}
	e.noteAll("vex", doc, read.Unread)
	for _, s := range read.Statements {
		e.evidence.Statements++
		names := ids(s.Vulnerability, s.Aliases)
		s.Aliases, s.Impact, s.Action = nil, cut(s.Impact), cut(s.Action)
		for _, id := range names {
			if err := e.vulnerabilities.add(appendKey(nil, id, leftSide), statementItem{doc, s}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *evaluation) noteAll(kind string, doc Document, unread []string) {
	for _, text := range unread {
		e.unread.note(kind + " " + doc.UpstreamID + " of " + doc.Source + ": " + text)
	}
}

// placeByPurl is the ecosystem and name of a package URL, "" without one.
func placeByPurl(text string) (ecosystem, name string) {
	p, ok := purl.Split(text)
	if !ok {
		return "", ""
	}
	places := placesOf(&sbom.Component{}, p)
	if len(places) == 0 {
		return "", ""
	}
	last := places[len(places)-1] // with the release, when there is one
	return last.ecosystem, last.name
}

// maxText bounds the texts of publishers that stand with each finding again.
const maxText = 1024

// cut gives the begin of a text, with an ellipsis when it is not the whole.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}

func list(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}
