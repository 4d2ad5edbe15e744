package advisory

import (
	"strings"

	"github.com/stella-ops/exportcenter/internal/csaftree"
	"github.com/stella-ops/exportcenter/internal/jsonobject"
	"github.com/stella-ops/exportcenter/internal/purl"
)

// csafAffected reads which products a vulnerability affects. What is fixed and
// what is affected says product_status; documents without it say it by their
// remediations. Products of one package on one platform with one fix become one
// entry that has their architectures.
func (r *reader) csafAffected(o jsonobject.Object, vulnerability string, tree csaftree.Tree, ratings ratings) error {
	remedies, ids, err := r.csafRemedies(o, tree)
	if err != nil {
		return err
	}
	g := groups{reader: r, vulnerability: vulnerability, tree: tree, remedies: remedies, ratings: ratings, known: map[string]int{}}
	status, there := r.object(o, "product_status")
	if !there {
		for _, id := range ids {
			g.add(o, id, remedies[id].fixed)
		}
		return nil
	}
	for _, s := range [...]struct {
		field string
		fixed bool
	}{{"first_fixed", true}, {"fixed", true}, {"first_affected", false}, {"known_affected", false}, {"last_affected", false}} {
		for _, id := range r.texts(status, s.field) {
			if err := r.count(1); err != nil {
				return err
			}
			g.add(o, id, s.fixed)
		}
	}
	if count := len(r.texts(status, "under_investigation")); count > 0 {
		r.Leave("%s: %d products", status.Name("under_investigation"), count)
	}
	return nil
}

// groups makes entries of the products of one vulnerability.
type groups struct {
	*reader
	vulnerability string
	tree          csaftree.Tree
	remedies      map[string]remedy
	ratings       ratings
	known         map[string]int // places in found.Affected
}

// add adds a product to the entry of its package, platform and fix.
func (g groups) add(o jsonobject.Object, id string, fixed bool) {
	a, arch, why := g.product(id, fixed)
	if why != "" {
		g.Leave("%s: product %.100q %s", o.Name(""), id, why)
		return
	}
	a.Vulnerability = g.vulnerability
	a.Severities = g.ratings.of(id)
	key := strings.Join(append([]string{a.Ecosystem, a.Name, a.Module, a.Status, a.FixedBy, fixOf(a)}, a.Versions...), "\x00")
	for _, s := range a.Severities {
		key += "\x00" + s.Vector + "\x00" + s.Word
	}
	place, known := g.known[key]
	if !known {
		place = len(g.found.Affected)
		g.known[key] = place
		g.found.Affected = append(g.found.Affected, a)
		if arch != "" {
			g.found.Affected[place].Arches = []string{arch}
		}
		return
	}
	entry := &g.found.Affected[place]
	switch {
	case arch == "":
		entry.Arches = nil
	case entry.Arches != nil:
		entry.Arches = append(entry.Arches, arch) // end makes a set of them
	}
}

// fixOf is the fixed version of an entry made here, "" without one.
func fixOf(a Affected) string {
	for _, r := range a.Ranges {
		for _, e := range r.Events {
			if e.Fixed != "" {
				return e.Fixed
			}
		}
	}
	return ""
}

// product reads one product, or says why not.
func (g groups) product(id string, fixed bool) (a Affected, arch, why string) {
	component, known := g.tree.Component(id)
	if !known {
		return a, "", "is not in product_tree"
	}
	parts, ok := purl.Split(component.Purl)
	if !ok {
		return a, "", "has no package URL"
	}
	a.Purl, a.Name = purl.Bare(component.Purl), parts.PackageName()
	if parts.Type == "rpm" && strings.EqualFold(parts.Namespace, "redhat") {
		return g.rpm(a, parts, id, fixed)
	}
	switch a.Ecosystem = purl.Ecosystem(component.Purl); {
	case a.Ecosystem == "":
		return a, "", "is of type " + parts.Type + ", which has no ecosystem"
	case component.Range != "":
		return a, "", "is a range of versions"
	case fixed:
		return a, "", "is fixed, which does not say what is affected"
	case parts.Version == "":
		a.Ranges = []Range{{Type: "ECOSYSTEM", Events: []Event{{Introduced: "0"}}}}
	default:
		a.Versions = []string{parts.Version}
	}
	a.Status = g.remedies[id].status
	return a, "", ""
}

// redHat begins the CPE of a platform of Red Hat; OSV names the ecosystem by what
// follows: "Red Hat:enterprise_linux:9::appstream".
var redHat = []string{"cpe:/a:redhat:", "cpe:/o:redhat:", "cpe:/h:redhat:"}

// rpm reads a package of Red Hat: all versions before the fixed one are affected,
// or all versions when there is none. Versions are epoch:version-release, always
// with the epoch, as OSV writes them.
func (g groups) rpm(a Affected, parts purl.Parts, id string, fixed bool) (_ Affected, arch, why string) {
	platform, there := g.tree.Platform(id)
	if !there || platform.CPE == "" {
		return a, "", "is on no platform with a CPE"
	}
	for _, prefix := range redHat {
		if rest, ok := strings.CutPrefix(platform.CPE, prefix); ok {
			a.Ecosystem = "Red Hat:" + rest
		}
	}
	if a.Ecosystem == "" {
		return a, "", "is on a platform whose CPE is not of the form cpe:/o:redhat:..."
	}
	a.Module = moduleOf(parts.Qualifiers["rpmmod"])
	events := []Event{{Introduced: "0"}}
	switch {
	case fixed && parts.Version == "":
		return a, "", "is fixed, but has no version"
	case fixed:
		a.FixedBy = g.remedies[id].url
		events = append(events, Event{Fixed: evr(parts)})
	default:
		if a.Status = g.remedies[id].status; a.Status == "" {
			a.Status = "affected"
		}
	}
	a.Ranges = []Range{{Type: "ECOSYSTEM", Events: events}}
	return a, parts.Qualifiers["arch"], ""
}

func evr(parts purl.Parts) string {
	epoch := parts.Qualifiers["epoch"]
	if epoch == "" {
		epoch = "0"
	}
	return epoch + ":" + parts.Version
}

// moduleOf gives name:stream of name:stream:version:context.
func moduleOf(rpmmod string) string {
	name, rest, ok := strings.Cut(rpmmod, ":")
	if !ok {
		return rpmmod
	}
	stream, _, _ := strings.Cut(rest, ":")
	return name + ":" + stream
}
