package csaf

import (
	"fmt"

	"github.com/stella-ops/exportcenter/ledger"
)

// maxBranches bounds how deep branches of products may be nested: each level
// is read once more. Published trees have three to five.
const maxBranches = 32

// readProductTree reads every product the document defines.
func readProductTree(doc ledger.Object, found *ledger.Found) error {
	tree, there, err := doc.Object("product_tree")
	if err != nil || !there {
		return err
	}
	product := func(p ledger.Object) error { return readProduct(p, found) }
	if err := tree.Each("full_product_names", product); err != nil {
		return err
	}
	if err := readBranches(tree, found, 1); err != nil {
		return err
	}
	return tree.Each("relationships", func(r ledger.Object) error {
		p, there, err := r.Object("full_product_name")
		if err != nil || !there {
			return err
		}
		return readProduct(p, found)
	})
}

func readBranches(o ledger.Object, found *ledger.Found, depth int) error {
	return o.Each("branches", func(b ledger.Object) error {
		if depth > maxBranches {
			return fmt.Errorf("%s is nested deeper than %d", b.Name(""), maxBranches)
		}
		p, there, err := b.Object("product")
		if err != nil {
			return err
		}
		if there {
			if err := readProduct(p, found); err != nil {
				return err
			}
		}
		return readBranches(b, found, depth+1)
	})
}

// readProduct takes a product's package URL, or else its name.
func readProduct(p ledger.Object, found *ledger.Found) error {
	name, err := p.RequireText("name")
	if err != nil {
		return err
	}
	if _, err := p.RequireText("product_id"); err != nil {
		return err
	}
	helper, there, err := p.Object("product_identification_helper")
	if err != nil {
		return err
	}
	if there {
		if named, err := found.Purl(helper, "purl"); named || err != nil {
			return err
		}
	}
	return found.Product(name)
}
