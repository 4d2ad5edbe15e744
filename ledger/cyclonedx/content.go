package cyclonedx

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/stella-ops/exportcenter/ledger"
)

// maxNesting bounds components within components: each level is read once more.
const maxNesting = 32

// readContent reads components and vulnerabilities and says which of the two
// the document is about.
func readContent(doc ledger.Object, o *ledger.Observation, found *ledger.Found) error {
	components, err := readComponents(doc, found, 1)
	if err != nil {
		return err
	}
	services := 0
	if err := doc.Each("services", func(ledger.Object) error { services++; return nil }); err != nil {
		return err
	}
	main, there, err := mainComponent(doc)
	if err != nil {
		return err
	}
	if there {
		if err := readMain(main, found); err != nil {
			return err
		}
	}
	analysed := false
	err = doc.Each("vulnerabilities", func(v ledger.Object) error {
		analysed = analysed || v.Has("analysis")
		return readVulnerability(v, found)
	})
	if components == 0 && services == 0 && analysed {
		o.Kind = ledger.KindVEX
	}
	return err
}

func mainComponent(doc ledger.Object) (component ledger.Object, there bool, err error) {
	metadata, there, err := doc.Object("metadata")
	if err != nil || !there {
		return component, false, err
	}
	return metadata.Object("component")
}

// readMain reads the component the document describes: its package URL, or,
// when nothing in the document has one, its name.
func readMain(c ledger.Object, found *ledger.Found) error {
	if _, err := found.Purl(c, "purl"); err != nil {
		return err
	}
	if _, err := readComponents(c, found, 2); err != nil {
		return err
	}
	name, err := c.RequireText("name")
	if err != nil || !found.Empty() {
		return err
	}
	for _, field := range []string{"group", "version"} {
		part, _, err := c.Text(field)
		switch {
		case err != nil:
			return err
		case part != "" && field == "group":
			name = part + "/" + name
		case part != "":
			name += "@" + part
		}
	}
	return found.Product(name)
}

// readComponents reads the components of o and those within them.
func readComponents(o ledger.Object, found *ledger.Found, depth int) (count int, err error) {
	err = o.Each("components", func(c ledger.Object) error {
		count++
		if depth > maxNesting {
			return fmt.Errorf("%s is nested deeper than %d", c.Name(""), maxNesting)
		}
		if _, err := c.RequireText("name"); err != nil {
			return err
		}
		if _, err := found.Purl(c, "purl"); err != nil {
			return err
		}
		_, err := readComponents(c, found, depth+1)
		return err
	})
	return count, err
}

func readVulnerability(v ledger.Object, found *ledger.Found) error {
	id, _, err := v.Text("id")
	if err != nil {
		return err
	}
	if err := found.Alias(id); err != nil {
		return err
	}
	readRatings(v, found)
	return v.Each("affects", func(a ledger.Object) error {
		ref, err := a.RequireText("ref")
		if err != nil {
			return err
		}
		return found.Product(affected(ref))
	})
}

var rating = ledger.Rating{Word: "severity", Score: "score", Vector: "vector"}

// readRatings takes the severities of a vulnerability. They serve selection
// only: what is not understood adds nothing and refuses nothing.
func readRatings(v ledger.Object, found *ledger.Found) {
	_ = v.Each("ratings", func(r ledger.Object) error {
		method, _, err := r.Text("method") // CVSSv2, CVSSv31, OWASP ...
		found.Rate(r, method, rating)
		return err
	})
}

// affected is what a reference leads to as a product: a package URL, alone or
// in a BOM-Link (urn:cdx:serial/version#reference), or a BOM-Link. A reference
// within the same document names a component that is read anyway.
func affected(ref string) string {
	if strings.HasPrefix(ref, "pkg:") {
		return ref
	}
	if !strings.HasPrefix(ref, "urn:cdx:") {
		return ""
	}
	_, target, _ := strings.Cut(ref, "#")
	if plain, err := url.PathUnescape(target); err == nil && strings.HasPrefix(plain, "pkg:") && !strings.HasPrefix(target, "pkg:") {
		return plain
	}
	if strings.HasPrefix(target, "pkg:") {
		return target
	}
	return ref
}
