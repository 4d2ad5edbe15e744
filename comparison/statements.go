package comparison

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/sbom"
	"github.com/stella-ops/exportcenter/vex"
)

// statement names what a statement is about.
type statement struct{ vulnerability, product, within string }

// state notes the statements of a document. Of several about the same the latest
// stands, and of those of one time the last.
func (d *document) state(read vex.Document) {
	if len(read.Statements) == 0 {
		return
	}
	d.statements = map[statement]vex.Statement{}
	for _, s := range read.Statements {
		within := strings.Join(s.Subcomponents, " ")
		for _, product := range s.Products {
			about := statement{s.Vulnerability, product, within}
			if last, there := d.statements[about]; !there || s.At >= last.At {
				d.statements[about] = s
			}
		}
	}
}

// statements compares what is said of products.
func statements(from, to document, left *budget, what map[string]bool) (changes []StatementChange) {
	all := slices.Collect(maps.Keys(from.statements))
	for about := range to.statements {
		if _, both := from.statements[about]; !both {
			all = append(all, about)
		}
	}
	slices.SortFunc(all, func(a, b statement) int {
		return cmp.Or(strings.Compare(a.vulnerability, b.vulnerability), strings.Compare(a.product, b.product), strings.Compare(a.within, b.within))
	})
	for _, about := range all {
		before, after := from.statements[about].Status, to.statements[about].Status
		if before == after {
			continue
		}
		what[StatusAspect] = true
		if left.take() {
			changes = append(changes, StatementChange{Vulnerability: about.vulnerability, Product: about.product, Within: about.within,
				From: string(before), To: string(after)})
		}
	}
	return changes
}

// list notes the components of an SBOM: by package URL, or else by name and version.
func (d *document) list(read sbom.Inventory) {
	d.components = map[string]int{}
	for _, c := range read.Components {
		d.components[cmp.Or(c.Purl, c.Name+"@"+c.Version)]++
	}
}

// components counts what one of two SBOMs lists more often.
func components(from, to document) (c Counts) {
	for name, n := range to.components {
		c.Added += max(0, n-from.components[name])
	}
	for name, n := range from.components {
		c.Removed += max(0, n-to.components[name])
	}
	return c
}
