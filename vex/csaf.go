package vex

import (
	"cmp"
	"strings"

	"github.com/stella-ops/exportcenter/internal/csaftree"
	"github.com/stella-ops/exportcenter/internal/cvss"
	"github.com/stella-ops/exportcenter/internal/jsonobject"
	"github.com/stella-ops/exportcenter/internal/purl"
)

// csafStatus are the groups of product_status (CSAF 2.0 section 3.2.3.9) that
// state something about a product, with the word for it. "recommended" does not.
var csafStatus = []struct {
	field  string
	status Status
}{
	{"known_not_affected", NotAffected}, {"first_affected", Affected}, {"known_affected", Affected}, {"last_affected", Affected},
	{"first_fixed", Fixed}, {"fixed", Fixed}, {"under_investigation", UnderInvestigation},
}

// csaf reads the product statuses of a CSAF 2.0 document.
func (r *reader) csaf(doc jsonobject.Object) error {
	header, err := doc.RequireObject("document")
	if err != nil {
		return err
	}
	tracking, err := header.RequireObject("tracking")
	if err != nil {
		return err
	}
	if r.found.ID, err = tracking.RequireText("id"); err != nil {
		return err
	}
	at, err := tracking.Time("current_release_date")
	if err != nil {
		return err
	}
	tree, err := csaftree.Read(doc)
	if err != nil {
		return err
	}
	return doc.Each("vulnerabilities", func(o jsonobject.Object) error {
		s := Statement{Vulnerability: r.text(o, "cve"), At: at}
		err := o.Each("ids", func(id jsonobject.Object) error {
			text := r.text(id, "text")
			if strings.Trim(text, "0123456789") != "" { // numbers are those of somebody's bug tracker
				s.Aliases = append(s.Aliases, text)
			}
			return r.count(1)
		})
		if err != nil {
			return err
		}
		if s.Vulnerability == "" && len(s.Aliases) > 0 {
			s.Vulnerability = s.Aliases[0]
		}
		if s.Vulnerability == "" {
			r.Leave("%s has neither cve nor ids", o.Name(""))
			return nil
		}
		return r.csafVulnerability(o, s, tree)
	})
}

func (r *reader) csafVulnerability(o jsonobject.Object, s Statement, tree csaftree.Tree) error {
	status, there, err := o.Object("product_status")
	if err != nil || !there {
		r.Leave("%s has no product_status", o.Name(""))
		return err
	}
	reasons, err := r.csafReasons(o, tree)
	if err != nil {
		return err
	}
	for _, group := range csafStatus {
		ids, err := status.Texts(group.field)
		if err != nil {
			return err
		}
		if err := r.count(len(ids)); err != nil {
			return err
		}
		s.Status = group.status
		r.csafGroup(status.Name(group.field), ids, s, tree, reasons)
	}
	return nil
}

// reasons are texts about products, by their ids.
type reasons struct{ justification, impact, action map[string]string }

// csafReasons reads why products are not affected (flags, threats of category
// impact) and what to do about those that are (remediations). The labels of
// flags are OpenVEX's justifications.
func (r *reader) csafReasons(o jsonobject.Object, tree csaftree.Tree) (reasons, error) {
	found := reasons{map[string]string{}, map[string]string{}, map[string]string{}}
	each := func(list string, into map[string]string, text func(jsonobject.Object) string) error {
		return o.Each(list, func(e jsonobject.Object) error {
			value := text(e)
			ids, err := tree.Members(e)
			if err != nil || value == "" {
				return err
			}
			for _, id := range ids {
				if into[id] == "" {
					into[id] = value
				}
			}
			return r.count(len(ids))
		})
	}
	if err := each("flags", found.justification, func(e jsonobject.Object) string { return r.text(e, "label") }); err != nil {
		return found, err
	}
	err := each("threats", found.impact, func(e jsonobject.Object) string {
		details := r.text(e, "details")
		if r.text(e, "category") != "impact" || cvss.Word(details) != "" { // a word is Red Hat's severity
			return ""
		}
		return details
	})
	if err != nil {
		return found, err
	}
	return found, each("remediations", found.action, func(e jsonobject.Object) string { return r.text(e, "details") })
}

// csafGroup makes statements of products with one status: one of those that
// share product and texts, with what a relationship makes components of the
// product as subcomponents.
func (r *reader) csafGroup(name string, ids []string, s Statement, tree csaftree.Tree, reasons reasons) {
	var order []string
	byKey := map[string]*Statement{}
	for _, id := range ids {
		own := s
		component, known := tree.Component(id)
		if !known {
			r.Leave("%s: product %.100q is not in product_tree", name, id)
			continue
		}
		platform, part := tree.Platform(id)
		if versions := cmp.Or(component.Range, platform.Range); versions != "" {
			r.Leave("%s: product %.100q is the range of versions %.100q", name, id, versions)
			continue
		}
		thing := identifier(component)
		if part {
			own.Products, own.Subcomponents = []string{identifier(platform)}, []string{thing}
		} else {
			own.Products = []string{thing}
		}
		switch s.Status {
		case NotAffected:
			own.Justification, own.Impact = reasons.justification[id], reasons.impact[id]
		case Affected, Fixed:
			own.Action = reasons.action[id]
		}
		key := strings.Join([]string{own.Justification, own.Impact, own.Action}, "\x00")
		if len(own.Subcomponents) > 0 {
			key += "\x00" + own.Products[0]
		}
		if same := byKey[key]; same != nil {
			same.Products = append(same.Products, own.Products...)
			same.Subcomponents = append(same.Subcomponents, own.Subcomponents...)
			continue
		}
		byKey[key] = &own
		order = append(order, key)
	}
	for _, key := range order {
		r.state(*byKey[key])
	}
}

// identifier is what others call a product: its package URL, CPE or name, else
// the document's own id. A package URL without a version is every version, so it
// gets that of the product's branch.
func identifier(p csaftree.Product) string {
	if parts, ok := purl.Split(p.Purl); ok && parts.Version == "" && p.Version != "" && !named(parts, p.Version) {
		return purl.WithVersion(p.Purl, p.Version)
	}
	for _, id := range []string{p.Purl, p.CPE, p.Name} {
		if id != "" {
			return id
		}
	}
	return p.ID
}

// named reports whether a branch has the name of a package where the standard
// wants a version, alone or behind a module or group: "pam", "nodejs:18/nodejs".
// Red Hat writes that of packages it has no version of, and means all.
func named(parts purl.Parts, branch string) bool {
	return strings.EqualFold(branch[strings.LastIndexAny(branch, "/:")+1:], parts.Name)
}
