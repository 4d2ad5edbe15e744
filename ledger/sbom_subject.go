package ledger

import "strings"

// SBOMSubjects gives what a bill of materials says it is about: names, with a
// version behind @ too, package URLs and digests ("sha256:<hex>") of the main
// component of a CycloneDX document, or of what an SPDX document describes, and
// the name of that document. What is not understood adds nothing: the document was
// taken without it. Other kinds of evidence have none.
func SBOMSubjects(kind Kind, format string, canonical []byte) []string {
	if kind != KindSBOM {
		return nil
	}
	doc, err := ParseObject("", canonical)
	if err != nil {
		return nil
	}
	var s subjects
	switch {
	case format == "cyclonedx":
		s.cyclonedx(doc)
	case format == "spdx" && doc.Has("spdxVersion"):
		s.spdx(doc)
	case format == "spdx":
		s.spdxGraph(doc)
	}
	return s.list
}

// subjects collects the names of what a document is about.
type subjects struct{ list []string }

func (s *subjects) add(terms ...string) {
	for _, term := range terms {
		if term != "" && len(term) <= MaxTerm {
			s.list = append(s.list, term)
		}
	}
}

// named adds a name, alone and with its version. A version may be a digest, as
// scanners of container images write it.
func (s *subjects) named(name, version string) {
	s.add(name)
	if version != "" && name != "" {
		s.add(name + "@" + version)
	}
	if strings.HasPrefix(version, "sha256:") {
		s.add(strings.ToLower(version))
	}
}

// digest adds a digest by the name of its algorithm: "SHA-256", "SHA256", "sha256".
func (s *subjects) digest(algorithm, hex string) {
	if hex != "" {
		s.add(strings.ToLower(strings.ReplaceAll(algorithm, "-", "") + ":" + hex))
	}
}

// cyclonedx reads metadata.component.
func (s *subjects) cyclonedx(doc Object) {
	metadata, _, _ := doc.Object("metadata")
	c, there, _ := metadata.Object("component")
	if !there {
		return
	}
	version := text(c, "version")
	s.named(text(c, "name"), version)
	if group := text(c, "group"); group != "" {
		s.named(group+"/"+text(c, "name"), version)
	}
	s.add(text(c, "purl"))
	_ = c.Each("hashes", func(h Object) error {
		s.digest(text(h, "alg"), text(h, "content"))
		return nil
	})
}

// spdx reads the packages and files that an SPDX 2 document describes.
func (s *subjects) spdx(doc Object) {
	s.add(text(doc, "name"))
	described := map[string]bool{}
	_ = doc.Values("documentDescribes", func(_ int, value []byte) error {
		id, _ := TextOf(value)
		described[id] = true
		return nil
	})
	_ = doc.Each("relationships", func(r Object) error {
		if text(r, "relationshipType") == "DESCRIBES" && text(r, "spdxElementId") == "SPDXRef-DOCUMENT" {
			described[text(r, "relatedSpdxElement")] = true
		}
		return nil
	})
	for _, member := range []string{"packages", "files"} {
		_ = doc.Each(member, func(e Object) error {
			if !described[text(e, "SPDXID")] {
				return nil
			}
			s.named(text(e, "name"), text(e, "versionInfo"))
			s.add(text(e, "fileName"))
			_ = e.Each("checksums", func(c Object) error {
				s.digest(text(c, "algorithm"), text(c, "checksumValue"))
				return nil
			})
			return e.Each("externalRefs", func(r Object) error {
				if text(r, "referenceType") == "purl" {
					s.add(text(r, "referenceLocator"))
				}
				return nil
			})
		})
	}
}

// spdxGraph reads the root elements of an SPDX 3 document.
func (s *subjects) spdxGraph(doc Object) {
	roots := map[string]bool{}
	_ = doc.Each("@graph", func(e Object) error {
		if text(e, "type") == "SpdxDocument" {
			s.add(text(e, "name"))
		}
		return e.Values("rootElement", func(_ int, value []byte) error {
			id, _ := TextOf(value)
			roots[id] = true
			return nil
		})
	})
	_ = doc.Each("@graph", func(e Object) error {
		if !roots[text(e, "spdxId")] || text(e, "type") == "software_Sbom" {
			return nil
		}
		s.named(text(e, "name"), text(e, "software_packageVersion"))
		s.add(text(e, "software_packageUrl"))
		return e.Each("verifiedUsing", func(h Object) error {
			s.digest(text(h, "algorithm"), text(h, "hashValue"))
			return nil
		})
	})
}

// text gives a string field, "" when there is none.
func text(o Object, field string) string {
	value, _, _ := o.Text(field)
	return value
}
