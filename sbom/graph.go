package sbom

import (
	"fmt"

	"github.com/stella-ops/exportcenter/internal/jsonobject"
)

// packages are the types of SPDX 3.0 that are packages (model "Software",
// class Package and those that inherit from it).
var packages = map[string]bool{"software_Package": true, "ai_AIPackage": true, "dataset_DatasetPackage": true}

// graph reads a document of SPDX 3.0 in JSON-LD.
func (r *reader) graph(doc jsonobject.Object) error {
	if !doc.Has("@context") {
		return fmt.Errorf("neither spdxVersion nor @context is there")
	}
	roots := map[string]bool{} // of the SpdxDocument and of its SBOM
	name := ""
	each := func(yield func(e jsonobject.Object, kind, id string) error) error {
		one := func(e jsonobject.Object) error {
			return yield(e, first(r.text(e, "type"), r.text(e, "@type")), first(r.text(e, "spdxId"), r.text(e, "@id")))
		}
		if doc.Has("@graph") {
			return doc.Each("@graph", one)
		}
		return one(doc) // a single element may stand alone
	}
	err := each(func(e jsonobject.Object, kind, id string) error {
		if kind != "SpdxDocument" && kind != "software_Sbom" {
			return nil
		}
		if kind == "SpdxDocument" && r.found.ID == "" {
			r.found.ID, name = id, r.text(e, "name")
		}
		ids, err := e.Texts("rootElement")
		for _, root := range ids {
			roots[root] = true
		}
		if err != nil {
			return err
		}
		return r.count(len(ids))
	})
	if err != nil {
		return err
	}
	err = each(func(e jsonobject.Object, kind, id string) error {
		if !packages[kind] {
			return nil
		}
		c, err := r.graphPackage(e, id)
		if err != nil {
			return err
		}
		if roots[id] && r.found.Subject == "" {
			r.found.Subject = first(c.Purl, c.Name)
		}
		return r.add(c)
	})
	r.found.Subject = first(r.found.Subject, name)
	return err
}

func (r *reader) graphPackage(e jsonobject.Object, id string) (c Component, err error) {
	c = Component{Ref: id, Name: r.text(e, "name"), Version: r.text(e, "software_packageVersion"), Purl: r.purl(e, "software_packageUrl")}
	if c.Hashes, err = r.hashes(e, "verifiedUsing", "algorithm", "hashValue"); err != nil {
		return c, err
	}
	return c, e.Values("externalIdentifier", func(i int, raw []byte) error {
		x, err := jsonobject.Parse(fmt.Sprintf("%s[%d]", e.Name("externalIdentifier"), i), raw)
		if err != nil {
			r.Leave("%s", err)
			return r.count(1)
		}
		if c.Purl == "" && r.text(x, "externalIdentifierType") == "packageUrl" {
			c.Purl = r.purl(x, "identifier")
		}
		return r.count(1)
	})
}
