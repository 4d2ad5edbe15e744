package osv

import (
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/ledger"
)

// maxAffected bounds the entries of one document.
const maxAffected = 20000

// affectedPackage is what an advisory is about.
type affectedPackage struct {
	ecosystem string
	name      string
	purl      string // "" = not given
}

// product is the package URL, given or derived; for an ecosystem without a
// package URL type it is "ecosystem/name".
func (p affectedPackage) product() string {
	if p.purl != "" {
		return p.purl
	}
	if derived := derivePurl(p.ecosystem, p.name); derived != "" {
		return derived
	}
	return p.ecosystem + "/" + p.name
}

func readAffected(doc ledger.Object, found *ledger.Found) error {
	entries, err := doc.Objects("affected")
	if err != nil {
		return err
	}
	if len(entries) > maxAffected {
		return fmt.Errorf("affected has %d entries, at most %d are taken", len(entries), maxAffected)
	}
	for _, entry := range entries {
		if err := checkRanges(entry); err != nil {
			return err
		}
		if _, err := entry.Texts("versions"); err != nil {
			return err
		}
		raw := entry.Field("package")
		if raw == nil { // allowed for ranges of commits
			continue
		}
		p, err := readPackage(entry.Name("package"), raw)
		if err != nil {
			return err
		}
		// The ecosystem is the one given: "Debian:12" says more than the URL.
		if err := found.Named(p.product(), p.ecosystem); err != nil {
			return err
		}
	}
	return nil
}

func readPackage(path string, raw []byte) (affectedPackage, error) {
	var p affectedPackage
	o, err := ledger.ParseObject(path, raw)
	if err != nil {
		return p, err
	}
	if p.ecosystem, err = o.RequireText("ecosystem"); err != nil {
		return p, err
	}
	if p.name, err = o.RequireText("name"); err != nil {
		return p, err
	}
	var given bool
	if p.purl, given, err = o.Text("purl"); err != nil {
		return p, err
	}
	if given && !strings.HasPrefix(p.purl, purlScheme) {
		return p, fmt.Errorf("%s %.80q is not a package URL", o.Name("purl"), p.purl)
	}
	return p, nil
}

// checkRanges checks the form of version ranges; their meaning is the reader's.
func checkRanges(entry ledger.Object) error {
	ranges, err := entry.Objects("ranges")
	if err != nil {
		return err
	}
	for _, r := range ranges {
		kind, err := r.RequireText("type")
		if err != nil {
			return err
		}
		switch kind {
		case "SEMVER", "ECOSYSTEM":
		case "GIT":
			if _, err := r.RequireText("repo"); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s %.40q is not one of SEMVER, ECOSYSTEM, GIT", r.Name("type"), kind)
		}
		if err := checkEvents(r); err != nil {
			return err
		}
	}
	return nil
}

func checkEvents(r ledger.Object) error {
	events, err := r.Objects("events")
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return fmt.Errorf("%s is missing or empty", r.Name("events"))
	}
	for _, e := range events {
		known := 0
		for _, field := range []string{"introduced", "fixed", "last_affected", "limit"} {
			_, found, err := e.Text(field)
			if err != nil {
				return err
			}
			if found {
				known++
			}
		}
		if known == 0 {
			return fmt.Errorf("%s has none of introduced, fixed, last_affected, limit", e.Name(""))
		}
	}
	return nil
}
