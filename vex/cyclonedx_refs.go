package vex

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/stella-ops/exportcenter/internal/jsonobject"
	"github.com/stella-ops/exportcenter/internal/purl"
)

// maxNesting bounds components within components.
const maxNesting = 32

// components are those of a CycloneDX document.
type components struct {
	byRef, byPurl map[string]component
	any           bool // beside the main one
}

type component struct {
	purl string
	main bool // it is what the document is about
}

// components reads a document's components, nested ones too.
func (r *reader) components(doc jsonobject.Object) (components, error) {
	own := components{byRef: map[string]component{}, byPurl: map[string]component{}}
	var walk func(o jsonobject.Object, depth int) error
	one := func(o jsonobject.Object, depth int) error {
		ref, _, err := o.Text("bom-ref")
		if err != nil {
			return err
		}
		c := component{main: depth == 0}
		if c.purl, _, err = o.Text("purl"); err != nil {
			return err
		}
		keep(own.byRef, ref, c)
		keep(own.byPurl, c.purl, c)
		own.any = own.any || depth > 0
		if err := r.count(1); err != nil {
			return err
		}
		return walk(o, depth+1)
	}
	walk = func(o jsonobject.Object, depth int) error {
		return o.Each("components", func(c jsonobject.Object) error {
			if depth > maxNesting {
				return fmt.Errorf("%s is nested deeper than %d", c.Name(""), maxNesting)
			}
			return one(c, depth)
		})
	}
	metadata, there, err := doc.Object("metadata")
	if err != nil {
		return own, err
	}
	if there {
		if main, there, err := metadata.Object("component"); err != nil {
			return own, err
		} else if there {
			if err := one(main, 0); err != nil {
				return own, err
			}
		}
	}
	return own, walk(doc, 1)
}

// keep keeps the first component of a name.
func keep(in map[string]component, name string, c component) {
	if _, known := in[name]; name != "" && !known {
		in[name] = c
	}
}

// target is what a reference leads to.
type target struct {
	ids []string
	// purl, behind within, is how it is called with a version; "" when nothing
	// has a version.
	within, purl string
}

// referred is what a reference leads to: a component of the document, what the
// document is about, a BOM-Link (urn:cdx:serial/version#ref), which stays whole,
// or, in a document without components, a package URL that stands for itself.
func (own components) referred(ref string) target {
	c, known := own.byRef[ref]
	if !known {
		c, known = own.byPurl[ref]
	}
	switch {
	case known && c.main && c.purl != "": // the product has a name that goes beyond the document
		return target{[]string{Local + ref, c.purl}, "", c.purl}
	case known:
		return target{[]string{Local + ref}, Local, c.purl}
	case strings.HasPrefix(ref, "urn:cdx:"):
		link, part, _ := strings.Cut(ref, "#")
		if plain, err := url.PathUnescape(part); err == nil && strings.HasPrefix(plain, purl.Scheme) {
			return target{[]string{ref}, link + "#", plain}
		}
		return target{ids: []string{ref}}
	case strings.HasPrefix(ref, purl.Scheme) && !own.any:
		return target{[]string{ref}, "", ref}
	}
	return target{ids: []string{Local + ref}}
}
