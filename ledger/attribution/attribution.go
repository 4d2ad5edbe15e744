// Package attribution says who published a document and under which terms, as
// far as this program or the document itself knows. Licences such as CC-BY ask
// whoever passes a document on to say so: the README of a bundle does.
package attribution

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/stella-ops/exportcenter/ledger"
)

// Version changes whenever Of can give another origin for the same document: what
// was counted before is not taken for what would be counted now.
const Version = "1"

// Origin is where a document comes from. Its parts hold no white space. They
// are counted together: a bundle's README has one row per origin.
type Origin struct {
	Source, Stream string
	// Publisher is the prefix of an OSV id or the namespace of a CSAF publisher,
	// "" for a document without either.
	Publisher string
	// Stated is the licence or the TLP label that the document gives itself, an
	// SPDX id or TLP:RED; Other when it gives another, "" when it gives none.
	Stated string
}

// Other stands for terms that a document gives in its own words.
const Other = "other"

// Of gives the origin of a document.
func Of(doc ledger.Line) Origin {
	o := Origin{Source: doc.Source, Stream: doc.Stream}
	switch doc.Format {
	case "osv":
		o.Publisher = prefixOf(doc.UpstreamID)
		if known, there := publishers[o.Publisher]; !there || known.each {
			o.Stated = osvLicence(doc.Canonical)
		}
	case "csaf":
		namespace, _, _ := strings.Cut(doc.UpstreamID, "#")
		if namespaceForm.MatchString(namespace) {
			o.Publisher = namespace
		}
		o.Stated = label(ledger.FieldAt(doc.Canonical, "document", "distribution", "tlp", "label"))
	case "cyclonedx":
		o.Stated = cyclonedxLicence(ledger.FieldAt(doc.Canonical, "metadata", "licenses"))
	case "spdx":
		o.Stated = spdxLicence(doc.Canonical)
	}
	return o
}

var (
	prefixForm    = regexp.MustCompile(`^[A-Z][A-Z0-9]{0,15}$`)
	namespaceForm = regexp.MustCompile(`^https?://[A-Za-z0-9._~/-]{1,200}$`)
	licenceForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+-]{0,63}$`)
)

// prefixOf is the prefix of an OSV id when it is a known one. Others are not
// worth a row each.
func prefixOf(id string) string {
	prefix, _, _ := strings.Cut(id, "-")
	if _, known := publishers[prefix]; known {
		return prefix
	}
	return ""
}

var licenceKey = []byte(`"license":`)

// osvLicence is database_specific.license, which RustSec gives.
func osvLicence(doc []byte) string {
	if !bytes.Contains(doc, licenceKey) { // most do not
		return ""
	}
	return licence(ledger.FieldAt(doc, "database_specific", "license"))
}

// licence is a text that may be an SPDX id.
func licence(raw []byte) string {
	text, ok := ledger.TextOf(raw)
	text = strings.TrimPrefix(text, "https://spdx.org/licenses/")
	switch {
	case !ok || text == "" || text == "NOASSERTION" || text == "NONE":
		return ""
	case !licenceForm.MatchString(text):
		return Other
	}
	return text
}

// label is a label of the Traffic Light Protocol (first.org/tlp), versions 1 and 2.
func label(raw []byte) string {
	switch text, _ := ledger.TextOf(raw); text {
	case "":
		return ""
	case "RED", "AMBER", "AMBER+STRICT", "GREEN", "WHITE", "CLEAR":
		return "TLP:" + text
	}
	return Other
}

// cyclonedxLicence is the licence of the BOM itself, when it is one.
func cyclonedxLicence(list []byte) string {
	var stated string
	count := 0
	ledger.EachElement(list, func(choice []byte) bool {
		count++
		if stated = licence(ledger.FieldAt(choice, "license", "id")); stated == "" {
			stated = licence(ledger.FieldOf(choice, "expression"))
		}
		return count < 2
	})
	if count > 1 || count == 1 && stated == "" {
		return Other
	}
	return stated
}

// spdxLicence is the data licence of a document of SPDX 2, or of 3.0.
func spdxLicence(doc []byte) string {
	graph := ledger.FieldOf(doc, "@graph")
	if graph == nil {
		return licence(ledger.FieldOf(doc, "dataLicense"))
	}
	var stated string
	ledger.EachElement(graph, func(element []byte) bool {
		if kind, _ := ledger.TextOf(ledger.FieldOf(element, "type")); kind != "SpdxDocument" {
			return true
		}
		stated = licence(ledger.FieldOf(element, "dataLicense")) // a reference; to the licence list or within the file
		return false
	})
	return stated
}

// String is the origin on one line, for tallies; Parse reads it.
func (o Origin) String() string {
	return strings.Join([]string{orDash(o.Source), orDash(o.Stream), orDash(o.Publisher), orDash(o.Stated)}, " ")
}

// Parse reads what String writes, and nothing else.
func Parse(text string) (Origin, error) {
	parts := strings.Split(text, " ")
	if len(parts) != 4 {
		return Origin{}, fmt.Errorf("%.100q is not an origin of documents", text)
	}
	for i, part := range parts {
		if part == "-" {
			parts[i] = ""
		}
	}
	o := Origin{parts[0], parts[1], parts[2], parts[3]}
	switch {
	case !ledger.ValidName(o.Source), !ledger.ValidName(o.Stream),
		o.Publisher != "" && !prefixForm.MatchString(o.Publisher) && !namespaceForm.MatchString(o.Publisher),
		o.Stated != "" && !licenceForm.MatchString(strings.TrimPrefix(o.Stated, "TLP:")):
		return Origin{}, fmt.Errorf("%.100q is not an origin of documents", text)
	}
	return o, nil
}

func orDash(part string) string {
	if part == "" {
		return "-"
	}
	return part
}

// Terms is what to tell about an origin.
type Terms struct {
	Publisher string // a name, "" when it is not known
	URL       string // "" when it is not known
	Licence   string // in words, never ""
}

// Unknown is the licence of what this program knows nothing about.
const Unknown = "licence not known to this program; ask the publisher"

// Terms gives what is known. What a document states of itself comes first: it
// is nearer to it than a table.
func (o Origin) Terms() Terms {
	known := publishers[o.Publisher]
	t := Terms{Publisher: known.name, URL: known.url, Licence: known.licence}
	if t.Publisher == "" && strings.Contains(o.Publisher, "://") {
		t.Publisher, t.URL = o.Publisher, o.Publisher
	}
	switch {
	case strings.HasPrefix(o.Stated, "TLP:") && t.Licence != "":
		t.Licence += ", " + o.Stated
	case strings.HasPrefix(o.Stated, "TLP:"):
		t.Licence = Unknown + "; the documents are " + o.Stated
	case o.Stated == Other:
		t.Licence = "stated in the documents themselves"
	case o.Stated != "":
		t.Licence = o.Stated + ", as the documents state"
	case t.Licence == "":
		t.Licence = Unknown
	}
	return t
}
