package vex

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/internal/jsonobject"
)

// openvex reads a document of OpenVEX 0.x (github.com/openvex/spec).
func (r *reader) openvex(doc jsonobject.Object) error {
	var err error
	if r.found.ID, _, err = doc.Text("@id"); err != nil {
		return err
	}
	if !doc.Has("statements") {
		return fmt.Errorf("statements is missing")
	}
	return doc.Each("statements", func(o jsonobject.Object) error {
		s, err := r.openvexStatement(doc, o)
		if err != nil {
			return err
		}
		around := o
		if !o.Has("products") { // then those of the document hold
			around = doc
		}
		return r.openvexProducts(around, s)
	})
}

// openvexStatement reads all of a statement but what it is about. A statement
// without a time of its own has the document's ("Inheritance Model").
func (r *reader) openvexStatement(doc, o jsonobject.Object) (s Statement, err error) {
	status, err := o.RequireText("status")
	if err != nil {
		return s, err
	}
	if s.Status = Status(status); !s.Status.Valid() {
		return s, fmt.Errorf("%s %.40q is not one of %v", o.Name("status"), status, Statuses)
	}
	if s.Vulnerability, s.Aliases, err = openvexVulnerability(o); err != nil {
		return s, err
	}
	if s.Status == NotAffected {
		s.Justification = r.text(o, "justification")
	}
	s.Impact, s.Action = r.text(o, "impact_statement"), r.text(o, "action_statement")
	s.At, err = firstTime(timeField{o, "last_updated"}, timeField{o, "timestamp"}, timeField{doc, "timestamp"}, timeField{doc, "last_updated"})
	return s, err
}

// openvexVulnerability reads a name, as versions up to 0.0.1 had it, or an
// object with a name and others. An @id that is the address of a page is no name,
// unless there is none else.
func openvexVulnerability(o jsonobject.Object) (name string, aliases []string, err error) {
	if name, ok := jsonobject.TextOf(o.Field("vulnerability")); ok && name != "" {
		return name, nil, nil
	}
	v, there, err := o.Object("vulnerability")
	if err != nil || !there {
		return "", nil, fmt.Errorf("%s is missing, or neither a name nor an object", o.Name("vulnerability"))
	}
	if name, _, err = v.Text("name"); err != nil {
		return "", nil, err
	}
	id, _, err := v.Text("@id")
	if err != nil {
		return "", nil, err
	}
	if aliases, err = v.Texts("aliases"); err != nil {
		return "", nil, err
	}
	switch {
	case name == "" && id == "":
		return "", nil, fmt.Errorf("%s has neither name nor @id", v.Name(""))
	case name == "":
		name = id
	case !strings.Contains(id, "://"):
		aliases = append(aliases, id)
	}
	return name, aliases, nil
}

// openvexProducts makes one statement of all products that are narrowed to the
// same subcomponents.
func (r *reader) openvexProducts(o jsonobject.Object, s Statement) error {
	stated := false
	err := o.Values("products", func(i int, value []byte) error {
		product, subcomponents, err := r.openvexProduct(fmt.Sprintf("%s[%d]", o.Name("products"), i), value)
		if err != nil {
			return err
		}
		if len(product) == 0 {
			r.Leave("%s[%d] has no identifier", o.Name("products"), i)
			return nil
		}
		if err := r.count(1 + len(subcomponents)); err != nil {
			return err
		}
		if stated && slices.Equal(s.Subcomponents, subcomponents) {
			s.Products = append(s.Products, product...)
			return nil
		}
		if stated {
			r.state(s)
		}
		s.Products, s.Subcomponents, stated = product, subcomponents, true
		return nil
	})
	if err != nil {
		return err
	}
	if !stated {
		r.Leave("%s: a statement about no product", o.Name(""))
		return nil
	}
	r.state(s)
	return nil
}

func (r *reader) openvexProduct(path string, value []byte) (ids, subcomponents []string, err error) {
	ids, p, err := openvexThing(path, value)
	if err != nil {
		return nil, nil, err
	}
	err = p.Values("subcomponents", func(i int, value []byte) error {
		path := fmt.Sprintf("%s[%d]", p.Name("subcomponents"), i)
		own, _, err := openvexThing(path, value)
		if len(own) == 0 && err == nil { // without it the statement would speak of the whole product
			err = fmt.Errorf("%s has no identifier", path)
		}
		subcomponents = append(subcomponents, own...)
		return err
	})
	return ids, set(subcomponents, ""), err
}

// openvexThing reads a product or a subcomponent: an identifier, as versions up
// to 0.0.1 had it, or an object.
func openvexThing(path string, value []byte) (ids []string, p jsonobject.Object, err error) {
	if id, ok := jsonobject.TextOf(value); ok {
		return set([]string{id}, ""), p, nil
	}
	if p, err = jsonobject.Parse(path, value); err != nil {
		return nil, p, fmt.Errorf("%s is neither an identifier nor an object", path)
	}
	ids, err = openvexIdentifiers(p)
	return ids, p, err
}

// openvexIdentifiers gives the identifiers of one thing. A package URL or CPE
// among them is preferred to an @id that is none.
func openvexIdentifiers(p jsonobject.Object) (ids []string, err error) {
	identifiers, there, err := p.Object("identifiers")
	if err != nil {
		return nil, err
	}
	if there {
		for _, field := range [...]string{"purl", "cpe23", "cpe22"} {
			id, _, err := identifiers.Text(field)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		ids = set(ids, "")
	}
	id, _, err := p.Text("@id")
	if len(ids) == 0 || strings.HasPrefix(id, "pkg:") {
		ids = append(ids, id)
	}
	return set(ids, ""), err
}
