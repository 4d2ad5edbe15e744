package advisory

import (
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/internal/csaftree"
	"github.com/stella-ops/exportcenter/internal/cvss"
	"github.com/stella-ops/exportcenter/internal/jsonobject"
)

// csaf reads an advisory or a VEX document of CSAF 2.0 (OASIS). What it says is
// affected is said vulnerability by vulnerability.
func (r *reader) csaf(doc jsonobject.Object) error {
	header, err := doc.RequireObject("document")
	if err != nil {
		return err
	}
	tracking, err := header.RequireObject("tracking")
	if err != nil {
		return err
	}
	a := &r.found
	if a.ID, err = tracking.RequireText("id"); err != nil {
		return err
	}
	a.Published, a.Modified = r.time(tracking, "initial_release_date"), r.time(tracking, "current_release_date")
	a.Title = r.text(header, "title")
	a.Description = r.note(header, "description", "summary", "details", "general")
	a.References = r.references(header)
	if aggregate, there := r.object(header, "aggregate_severity"); there {
		if word := cvss.Word(r.text(aggregate, "text")); word != "" {
			a.Severities = []Severity{{Word: word}}
		}
	}
	tree, err := csaftree.Read(doc)
	if err != nil {
		return err
	}
	if err := r.count(tree.Len()); err != nil {
		return err
	}
	return doc.Each("vulnerabilities", func(v jsonobject.Object) error { return r.csafVulnerability(v, tree) })
}

// note gives the text of the first note of the first category that has one.
func (r *reader) note(o jsonobject.Object, categories ...string) string {
	texts := map[string]string{}
	r.each(o, "notes", func(n jsonobject.Object) {
		category := r.text(n, "category")
		if texts[category] == "" {
			texts[category] = r.text(n, "text")
		}
	})
	for _, category := range categories {
		if texts[category] != "" {
			return texts[category]
		}
	}
	return ""
}

func (r *reader) csafVulnerability(o jsonobject.Object, tree csaftree.Tree) error {
	v := Vulnerability{
		ID: r.text(o, "cve"), Title: r.text(o, "title"), Published: r.time(o, "release_date"),
		Description: r.note(o, "description", "summary", "details", "general"), References: r.references(o),
	}
	r.each(o, "ids", func(id jsonobject.Object) {
		// Numbers are those of somebody's bug tracker.
		if text := r.text(id, "text"); strings.Trim(text, "0123456789") != "" {
			v.Aliases = append(v.Aliases, text)
		}
	})
	if v.ID == "" && len(v.Aliases) > 0 {
		v.ID = v.Aliases[0]
	}
	if v.ID == "" {
		r.Leave("%s has neither cve nor ids", o.Name(""))
		return nil
	}
	v.Aliases = set(v.Aliases, v.ID)
	if cwe, there := r.object(o, "cwe"); there {
		if id := r.text(cwe, "id"); isCWE(id) {
			v.CWEs = []string{id}
		}
	}
	r.found.CWEs = append(r.found.CWEs, v.CWEs...)
	r.found.Upstream = append(r.found.Upstream, v.ID)
	ratings, err := r.csafRatings(o, tree)
	if err != nil {
		return err
	}
	if err := r.count(1); err != nil {
		return err
	}
	v.Severities = ratings.all
	r.found.Vulnerabilities = append(r.found.Vulnerabilities, v)
	return r.csafAffected(o, v.ID, tree, ratings)
}

// ratings are how bad a vulnerability is, in all and by product id.
type ratings struct {
	all     []Severity
	product map[string][]Severity
}

// of gives what is said of one product alone: nothing where the products agree.
func (s ratings) of(product string) []Severity {
	own := s.product[product]
	if len(own) == len(s.all) {
		return nil
	}
	return own
}

// csafRatings reads scores, and the impact that Red Hat words as a threat.
func (r *reader) csafRatings(o jsonobject.Object, tree csaftree.Tree) (ratings, error) {
	found := ratings{product: map[string][]Severity{}}
	rate := func(s Severity, products []string) error {
		found.all = r.add(found.all, s)
		for _, id := range products {
			found.product[id] = r.add(found.product[id], s)
		}
		return r.count(len(products))
	}
	err := o.Each("scores", func(score jsonobject.Object) error {
		products := r.texts(score, "products")
		for _, version := range [...]string{"cvss_v2", "cvss_v3", "cvss_v4"} {
			given, there := r.object(score, version)
			if !there {
				continue
			}
			text := r.text(given, "vectorString")
			severity, ok := vector(text, r.text(given, "baseSeverity"))
			if !ok {
				r.Leave("%s %.80q is not a CVSS vector", given.Name("vectorString"), text)
			} else if err := rate(severity, products); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return found, err
	}
	return found, o.Each("threats", func(threat jsonobject.Object) error {
		word := cvss.Word(r.text(threat, "details"))
		if r.text(threat, "category") != "impact" || word == "" {
			return nil
		}
		return rate(Severity{Word: word}, r.members(threat, tree))
	})
}

// members gives the products that o is about.
func (r *reader) members(o jsonobject.Object, tree csaftree.Tree) []string {
	ids, err := tree.Members(o)
	if err != nil {
		r.Leave("%s", err)
	}
	return ids
}

// remedy is what is said of the fix of one product.
type remedy struct {
	status string // in Trivy's words
	url    string
	fixed  bool
}

// remedyOf gives the word for a remediation, in the words Red Hat documents
// (redhatproductsecurity.github.io/security-data-guidelines, "Remediations").
func remedyOf(category, details string) (remedy, bool) {
	switch category {
	case "vendor_fix":
		return remedy{fixed: true}, true
	case "no_fix_planned":
		if details == "Out of support scope" {
			return remedy{status: "end_of_life"}, true
		}
		return remedy{status: "will_not_fix"}, true
	case "none_available":
		if details == "Fix deferred" || details == "Deferred" {
			return remedy{status: "fix_deferred"}, true
		}
		return remedy{status: "affected"}, true
	}
	return remedy{}, false
}

// csafRemedies gives the remediations by product id, and the ids in order.
func (r *reader) csafRemedies(o jsonobject.Object, tree csaftree.Tree) (remedies map[string]remedy, ids []string, err error) {
	remedies = map[string]remedy{}
	err = o.Each("remediations", func(m jsonobject.Object) error {
		found, known := remedyOf(r.text(m, "category"), r.text(m, "details"))
		if !known {
			return nil
		}
		if found.fixed {
			found.url = r.text(m, "url")
		}
		list := r.members(m, tree)
		for _, id := range list {
			if _, twice := remedies[id]; !twice {
				remedies[id] = found
				ids = append(ids, id)
			}
		}
		return r.count(len(list))
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", o.Name("remediations"), err)
	}
	return remedies, ids, err
}
