package sbom

import (
	"strings"

	"github.com/stella-ops/exportcenter/internal/jsonobject"
)

// spdx reads a document of SPDX 2.2 or 2.3. A package with several package URLs
// is as many components.
func (r *reader) spdx(doc jsonobject.Object) error {
	var err error
	if r.found.ID, _, err = doc.Text("documentNamespace"); err != nil {
		return err
	}
	described, err := r.described(doc)
	if err != nil {
		return err
	}
	err = doc.Each("packages", func(p jsonobject.Object) error {
		c := Component{Ref: r.text(p, "SPDXID"), Name: r.text(p, "name"), Version: r.text(p, "versionInfo")}
		if c.Hashes, err = r.hashes(p, "checksums", "algorithm", "checksumValue"); err != nil {
			return err
		}
		c.SourceName, c.SourceVersion = builtFrom(r.text(p, "sourceInfo"))
		purls, err := r.spdxPurls(p)
		if err != nil {
			return err
		}
		if described == c.Ref && c.Ref != "" {
			r.found.Subject = first(append(purls, c.Name)...)
		}
		if len(purls) == 0 {
			return r.add(c)
		}
		for _, c.Purl = range purls {
			if err := r.add(c); err != nil {
				return err
			}
		}
		return nil
	})
	if r.found.Subject == "" {
		r.found.Subject = r.text(doc, "name")
	}
	return err
}

// described is the id of the first element the document says it describes.
func (r *reader) described(doc jsonobject.Object) (string, error) {
	ids, err := doc.Texts("documentDescribes")
	if err != nil || len(ids) > 0 {
		return first(ids...), err
	}
	described := ""
	err = doc.Each("relationships", func(o jsonobject.Object) error {
		if described == "" && r.text(o, "relationshipType") == "DESCRIBES" && r.text(o, "spdxElementId") == "SPDXRef-DOCUMENT" {
			described = r.text(o, "relatedSpdxElement")
		}
		return r.count(1)
	})
	return described, err
}

func (r *reader) spdxPurls(p jsonobject.Object) (purls []string, err error) {
	err = p.Each("externalRefs", func(ref jsonobject.Object) error {
		if r.text(ref, "referenceType") == "purl" {
			if own := r.purl(ref, "referenceLocator"); own != "" {
				purls = append(purls, own)
			}
		}
		return r.count(1)
	})
	return purls, err
}

// builtFrom reads the source package as Trivy writes it: "built package from:
// bash 5.1-2".
func builtFrom(info string) (name, version string) {
	rest, ok := strings.CutPrefix(info, "built package from: ")
	if !ok {
		return "", ""
	}
	name, version, _ = strings.Cut(rest, " ")
	return name, version
}
