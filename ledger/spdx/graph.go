package spdx

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/stella-ops/exportcenter/ledger"
)

const contextStart = "https://spdx.org/rdf/3."

var contextVersion = regexp.MustCompile(`"https://spdx\.org/rdf/3\.0(\.[0-9]+)?/spdx-context\.jsonld"`)

// context gives @context, which is a text or a list of them, cut to a bounded
// length.
func context(doc ledger.Object) []byte {
	raw := doc.Field("@context")
	return raw[:min(len(raw), 4096)]
}

// graph is what identity and time of an SPDX 3.0 document are taken from,
// which may stand anywhere among its elements.
type graph struct {
	found    *ledger.Found
	id       string            // of the lexically first SpdxDocument
	name     string            // its name
	info     string            // its creation info: a reference
	at       string            // or the time itself
	created  map[string]string // times by the @id of their CreationInfo
	latest   string            // the greatest of them
	elements int
}

// maxCreationInfos bounds the times of a document; tools write one.
const maxCreationInfos = 10_000

func readGraph(doc ledger.Object, o *ledger.Observation, found *ledger.Found) error {
	if !contextVersion.Match(context(doc)) {
		return fmt.Errorf("@context %.80q is not one of SPDX 3.0", context(doc))
	}
	g := graph{found: found, created: map[string]string{}}
	var err error
	if doc.Has("@graph") {
		err = doc.Each("@graph", g.element)
	} else { // a single element may stand alone
		err = g.element(doc)
	}
	if err != nil {
		return err
	}
	if g.elements == 0 {
		return fmt.Errorf("@graph is empty")
	}
	o.UpstreamID = g.id
	switch {
	case g.at != "":
		o.Modified = g.at
	case g.created[g.info] != "":
		o.Modified = g.created[g.info]
	default:
		o.Modified = g.latest
	}
	if found.Empty() {
		return found.Product(g.name)
	}
	return nil
}

func (g *graph) element(e ledger.Object) error {
	g.elements++
	kind, err := typeOf(e)
	if err != nil {
		return err
	}
	switch kind {
	case "CreationInfo":
		return g.creationInfo(e)
	case "SpdxDocument":
		return g.document(e)
	case "software_Package":
		if _, err := g.found.Purl(e, "software_packageUrl"); err != nil {
			return err
		}
		return g.identifiers(e, "packageUrl", g.found.Product)
	case "security_Vulnerability":
		return g.identifiers(e, "cve", g.found.Alias)
	case "security_CvssV2VulnAssessmentRelationship":
		g.found.Rate(e, "2", rating)
	case "security_CvssV3VulnAssessmentRelationship":
		g.found.Rate(e, "3", rating)
	case "security_CvssV4VulnAssessmentRelationship":
		g.found.Rate(e, "4", rating)
	}
	return nil
}

// rating is how SPDX 3.0 names the parts of an assessment. They serve selection
// only: what is not understood adds nothing and refuses nothing.
var rating = ledger.Rating{Word: "security_severity", Score: "security_score", Vector: "security_vectorString"}

// typeOf gives an element's type under either of the two names JSON-LD has for it.
func typeOf(e ledger.Object) (string, error) {
	if kind, there, err := e.Text("type"); there || err != nil {
		return kind, err
	}
	return e.RequireText("@type")
}

func (g *graph) creationInfo(e ledger.Object) error {
	at, err := e.Time("created")
	if err != nil {
		return err
	}
	if at == "" {
		return fmt.Errorf("%s is missing", e.Name("created"))
	}
	id, _, err := e.Text("@id")
	if err != nil {
		return err
	}
	if len(g.created) == maxCreationInfos {
		return fmt.Errorf("more than %d elements of type CreationInfo", maxCreationInfos)
	}
	g.created[id] = at
	g.latest = max(g.latest, at)
	return nil
}

// document takes the identity of an SpdxDocument. An id that starts with "_:"
// holds within this file only and is none.
func (g *graph) document(e ledger.Object) error {
	id, _, err := e.Text("spdxId")
	if err != nil {
		return err
	}
	if id == "" {
		if id, _, err = e.Text("@id"); err != nil {
			return err
		}
	}
	if strings.HasPrefix(id, "_:") || g.id != "" && g.id <= id {
		return nil
	}
	if g.name, _, err = e.Text("name"); err != nil {
		return err
	}
	g.id, g.info, g.at = id, "", ""
	raw := bytes.TrimSpace(e.Field("creationInfo"))
	if reference, ok := ledger.TextOf(raw); ok {
		g.info = reference
		return nil
	}
	info, there, err := e.Object("creationInfo")
	if err != nil || !there {
		return err
	}
	g.at, err = info.Time("created")
	return err
}

// identifiers hands on an element's external identifiers of one kind.
func (g *graph) identifiers(e ledger.Object, kind string, add func(string) error) error {
	return e.Each("externalIdentifier", func(x ledger.Object) error {
		own, _, err := x.Text("externalIdentifierType")
		if err != nil || own != kind {
			return err
		}
		value, err := x.RequireText("identifier")
		if err != nil {
			return err
		}
		return add(value)
	})
}
