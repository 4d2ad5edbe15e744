// Package cyclonedx reads CycloneDX documents in JSON, versions 1.2 to 1.7.
//
// Bills of materials are SBOMs. A document without components and services of
// its own that holds vulnerabilities with an analysis is VEX.
package cyclonedx

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/stella-ops/exportcenter/ledger"
)

// Format is the name of this format, and of the source of documents that do
// not say where they come from.
const Format = "cyclonedx"

var format = ledger.Format{Name: Format, Title: "a CycloneDX document", Kind: ledger.KindSBOM, Read: read}

// Parse understands one entry. The observation shares the entry's bytes.
func Parse(e ledger.Entry) (ledger.Observation, error) { return format.Understand(e) }

// Recognise reports whether an object looks like a document in this format.
func Recognise(doc ledger.Object) bool {
	return doc.Has("bomFormat") || doc.Has("specVersion") && doc.Has("components")
}

var (
	versions     = []string{"1.2", "1.3", "1.4", "1.5", "1.6", "1.7"}
	serialNumber = regexp.MustCompile(`^urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

func read(doc ledger.Object, o *ledger.Observation, found *ledger.Found) error {
	name, err := doc.RequireText("bomFormat")
	if err != nil {
		return err
	}
	if name != "CycloneDX" {
		return fmt.Errorf("bomFormat %.40q is not CycloneDX", name)
	}
	version, err := doc.RequireText("specVersion")
	if err != nil {
		return err
	}
	if !slices.Contains(versions, version) {
		return fmt.Errorf("specVersion %.40q is not one of 1.2 to 1.7", version)
	}
	if o.UpstreamID, _, err = doc.Text("serialNumber"); err != nil {
		return err
	}
	if o.UpstreamID != "" && !serialNumber.MatchString(o.UpstreamID) {
		return fmt.Errorf("serialNumber %.80q is not a urn:uuid", o.UpstreamID)
	}
	if o.Modified, err = modified(doc); err != nil {
		return err
	}
	return readContent(doc, o, found)
}

// modified is metadata.timestamp. Without one the version number orders the
// revisions: it is written as that many seconds of year one, before every real
// time. A document without both has version 1, as the schema says.
func modified(doc ledger.Object) (string, error) {
	revision, err := version(doc)
	if err != nil {
		return "", err
	}
	metadata, there, err := doc.Object("metadata")
	if err != nil {
		return "", err
	}
	if there {
		if at, err := metadata.Time("timestamp"); at != "" || err != nil {
			return at, err
		}
	}
	return time.Date(1, 1, 1, 0, 0, revision, 0, time.UTC).Format(ledger.ModifiedLayout), nil
}

// maxVersion keeps version numbers apart from real times.
const maxVersion = 1 << 31

func version(doc ledger.Object) (int, error) {
	raw := doc.Field("version")
	if raw == nil {
		return 1, nil
	}
	number, err := strconv.Atoi(string(raw))
	if err != nil || number < 0 || number >= maxVersion {
		return 0, fmt.Errorf("version %.40q is not a whole number below %d", raw, maxVersion)
	}
	return number, nil
}
