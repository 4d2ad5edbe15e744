// Package csaftree reads the products of a CSAF 2.0 document (section 3.2.2):
// those it names, those in its branches, and those that its relationships make of
// two others, a component of a platform.
package csaftree

import (
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/internal/jsonobject"
)

// Product is one product of a document.
type Product struct {
	ID   string
	Name string
	Purl string // "" without one
	CPE  string // "" without one
	// Component and Of are ids of products when a relationship made this one of
	// them: Component, as a part of, or installed on, Of.
	Component string
	Of        string
	// Version and Range are what the nearest of its branches that does says of
	// its versions: that of category product_version, whose name is one version
	// by the standard, but the package's name with Red Hat; or that of category
	// product_version_range, in words of the vers specification, "" for one that
	// has every version.
	Version string
	Range   string
}

// Tree is the products of a document.
type Tree struct {
	products map[string]Product
	groups   map[string][]string
}

// Len is how many products the document defines.
func (t Tree) Len() int { return len(t.products) }

// Bounds of what a document may define.
const (
	maxProducts = 500_000
	maxBranches = 32 // how deep; published trees have three to five
	maxGroups   = 100
	maxSteps    = 8 // from a product to its component or platform
)

// Read reads product_tree; a document without one has no products.
func Read(doc jsonobject.Object) (Tree, error) {
	t := Tree{products: map[string]Product{}, groups: map[string][]string{}}
	tree, there, err := doc.Object("product_tree")
	if err != nil || !there {
		return t, err
	}
	if err := tree.Each("full_product_names", func(o jsonobject.Object) error { return t.add(o, Product{}) }); err != nil {
		return t, err
	}
	if err := t.branches(tree, Product{}, 1); err != nil {
		return t, err
	}
	if err := tree.Each("product_groups", t.group); err != nil {
		return t, err
	}
	err = tree.Each("relationships", func(o jsonobject.Object) error {
		component, _, err := o.Text("product_reference")
		if err != nil {
			return err
		}
		of, _, err := o.Text("relates_to_product_reference")
		if err != nil {
			return err
		}
		name, there, err := o.Object("full_product_name")
		if err != nil || !there {
			return err
		}
		return t.add(name, Product{Component: component, Of: of})
	})
	return t, err
}

// branches adds the products of branches, which have what the branches above
// say of their versions.
func (t Tree) branches(o jsonobject.Object, above Product, depth int) error {
	return o.Each("branches", func(b jsonobject.Object) error {
		if depth > maxBranches {
			return fmt.Errorf("%s is nested deeper than %d", b.Name(""), maxBranches)
		}
		here, err := within(b, above)
		if err != nil {
			return err
		}
		p, there, err := b.Object("product")
		if err != nil {
			return err
		}
		if there {
			if err := t.add(p, here); err != nil {
				return err
			}
		}
		return t.branches(b, here, depth+1)
	})
}

// within is above with what a branch says of versions.
func within(branch jsonobject.Object, above Product) (Product, error) {
	category, _, err := branch.Text("category")
	if err != nil || category != "product_version" && category != "product_version_range" {
		return above, err
	}
	name, _, err := branch.Text("name")
	switch {
	case category == "product_version":
		above.Version, above.Range = name, ""
	case name == "*" || strings.HasPrefix(name, "vers:") && strings.HasSuffix(name, "/*"): // every version
		above.Version, above.Range = "", ""
	default:
		above.Version, above.Range = "", name
	}
	return above, err
}

// add adds the product o to what is known of it. Of two with one id, which the
// standard forbids, the first stands.
func (t Tree) add(o jsonobject.Object, p Product) error {
	var err error
	if p.ID, err = o.RequireText("product_id"); err != nil {
		return err
	}
	if _, known := t.products[p.ID]; known {
		return nil
	}
	if len(t.products) == maxProducts {
		return fmt.Errorf("the document has too many products, at most %d are taken", maxProducts)
	}
	if p.Name, _, err = o.Text("name"); err != nil {
		return err
	}
	helper, there, err := o.Object("product_identification_helper")
	if err != nil {
		return err
	}
	if there {
		if p.Purl, _, err = helper.Text("purl"); err != nil {
			return err
		}
		if p.CPE, _, err = helper.Text("cpe"); err != nil {
			return err
		}
	}
	t.products[p.ID] = p
	return nil
}

func (t Tree) group(o jsonobject.Object) error {
	id, err := o.RequireText("group_id")
	if err != nil {
		return err
	}
	if len(t.groups) == maxProducts {
		return fmt.Errorf("the document has too many groups of products, at most %d are taken", maxProducts)
	}
	t.groups[id], err = o.Texts("product_ids")
	return err
}

// Members gives the ids of the products that product_ids of o names, and those
// of the groups that its group_ids names, each once.
func (t Tree) Members(o jsonobject.Object) ([]string, error) {
	ids, err := o.Texts("product_ids")
	if err != nil {
		return nil, err
	}
	groups, err := o.Texts("group_ids")
	if err != nil || len(groups) == 0 {
		return ids, err
	}
	seen := map[string]bool{}
	var all []string
	add := func(list []string) {
		for _, id := range list {
			if !seen[id] {
				seen[id] = true
				all = append(all, id)
			}
		}
	}
	add(ids)
	for i, group := range groups {
		if i == maxGroups {
			return nil, fmt.Errorf("%s has too many elements, at most %d are taken", o.Name("group_ids"), maxGroups)
		}
		add(t.groups[group])
	}
	return all, nil
}

// Component is the product itself, or, of one that a relationship made, the
// component that has a package URL; ok is false when there is none by that id.
// What it does not say of versions itself, that which it was made of does.
func (t Tree) Component(id string) (p Product, ok bool) {
	for range maxSteps {
		if p, ok = t.products[id]; !ok || p.Purl != "" || p.Component == "" {
			break
		}
		id = p.Component
	}
	from := p
	for range maxSteps {
		if p.Version != "" || p.Range != "" || from.Component == "" {
			break
		}
		from = t.products[from.Component]
		p.Version, p.Range = from.Version, from.Range
	}
	return p, ok
}

// Platform is the product that another one, made by relationships, is a part of
// in the end; ok is false when it is not a part of any.
func (t Tree) Platform(id string) (p Product, ok bool) {
	for range maxSteps {
		made, known := t.products[id]
		if !known || made.Of == "" {
			return p, ok
		}
		id = made.Of
		p, ok = t.products[id]
	}
	return p, ok
}
