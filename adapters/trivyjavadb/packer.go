package trivyjavadb

import (
	"fmt"
	"slices"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/artifact"
	"github.com/stella-ops/exportcenter/internal/jsonobject"
	"github.com/stella-ops/exportcenter/internal/purl"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/sbom"
)

// packer turns documents into lines.
type packer struct{}

// Write writes the lines of a document: its document line, its note, and the
// archives it names.
func (packer) Write(w adapters.LineWriter, doc ledger.Line) (adapters.Written, error) {
	lines, about, err := archives(doc)
	if err != nil {
		about.Unread = err.Error()
	}
	head, err := adapters.AppendDocument(nil, doc, int64(len(lines)))
	if err != nil {
		return adapters.Written{}, fmt.Errorf("document line of %s: %w", doc.UpstreamID, err)
	}
	second, err := encode(about)
	if err != nil {
		return adapters.Written{}, fmt.Errorf("note of %s: %w", doc.UpstreamID, err)
	}
	if err := w.WriteLine(head); err != nil {
		return adapters.Written{}, err
	}
	if err := w.WriteLine(second); err != nil {
		return adapters.Written{}, err
	}
	for _, line := range lines {
		if err := w.WriteLine([]byte(line)); err != nil {
			return adapters.Written{}, err
		}
	}
	return adapters.Written{}, nil
}

// archives gives the archives that a document names, each once, sorted. What
// cannot be read gives none: the evidence is what it is, and a run goes on.
func archives(doc ledger.Line) (lines []string, about note, err error) {
	about = note{Kind: string(doc.Kind), Source: doc.Source, Stream: doc.Stream, Modified: doc.Modified}
	switch doc.Kind {
	case ledger.KindSBOM:
		lines, about.Left, err = ofSBOM(doc)
	case ledger.KindArtifact:
		lines, err = ofList(doc)
	}
	slices.Sort(lines)
	return slices.Compact(lines), about, err
}

// archiveTypes are the types of Maven packages whose file is an archive that Trivy
// looks for, with its word for it: those of Maven's default artifact handlers
// with the extension jar (maven.apache.org/ref/current/maven-core), OSGi's
// bundles, and Android's libraries. "" is what package URLs leave out.
var archiveTypes = map[string]string{
	"": "jar", "jar": "jar", "test-jar": "jar", "maven-plugin": "jar", "ejb": "jar", "ejb-client": "jar", "bundle": "jar", "aar": "aar",
}

// ofSBOM takes the components with a SHA-1 and a Maven package URL. The type of
// the file is the package URL's qualifier of that name.
func ofSBOM(doc ledger.Line) (lines []string, left int64, err error) {
	inventory, err := sbom.Read(doc.Format, doc.Canonical)
	if err != nil {
		return nil, 0, err
	}
	for _, c := range inventory.Components {
		parts, ok := purl.Split(c.Purl)
		if !ok || parts.Type != "maven" || c.Hashes["sha1"] == "" {
			continue
		}
		a := artifact.Artifact{SHA1: c.Hashes["sha1"], Coordinates: artifact.Coordinates{
			GroupID: parts.Namespace, ArtifactID: parts.Name, Version: parts.Version, Type: archiveTypes[parts.Qualifiers["type"]]}}
		if a.Version == "" {
			a.Version = c.Version
		}
		if !artifact.IsSHA1(a.SHA1) || !a.Valid() {
			left++
			continue
		}
		lines = append(lines, lineOf(a))
	}
	return lines, left, nil
}

func ofList(doc ledger.Line) (lines []string, err error) {
	list, err := jsonobject.Parse("", doc.Canonical)
	if err != nil {
		return nil, err
	}
	err = artifact.Each(list, func(a artifact.Artifact) error {
		lines = append(lines, lineOf(a))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return lines, nil
}
