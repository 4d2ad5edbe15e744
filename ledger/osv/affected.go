package osv

import (
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/internal/purl"
	"github.com/stella-ops/exportcenter/ledger"
)

// What is taken of one document.
const (
	maxAffected = 20_000
	maxRanges   = 100_000 // of an entry, and events of a range
)

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
	if derived := purl.Derive(p.ecosystem, p.name); derived != "" {
		return derived
	}
	return p.ecosystem + "/" + p.name
}

func readAffected(doc ledger.Object, found *ledger.Found) error {
	return eachUpTo(maxAffected, doc, "affected", func(entry ledger.Object) error {
		if err := checkRanges(entry); err != nil {
			return err
		}
		if err := entry.CheckTexts("versions"); err != nil {
			return err
		}
		readSeverity(entry, found)
		o, given, err := entry.Inner("package")
		if err != nil || !given { // it may be missing for ranges of commits
			return err
		}
		p, err := readPackage(o)
		if err != nil {
			return err
		}
		// The ecosystem is the one given: "Debian:12" says more than the URL.
		return found.Named(p.product(), p.ecosystem)
	})
}

// eachUpTo calls yield with the objects of a list of at most limit.
func eachUpTo(limit int, o ledger.Object, field string, yield func(ledger.Object) error) error {
	count := 0
	return o.Each(field, func(inner ledger.Object) error {
		if count++; count > limit {
			return fmt.Errorf("%s has too many entries, at most %d are taken", o.Name(field), limit)
		}
		return yield(inner)
	})
}

func readPackage(o ledger.Object) (affectedPackage, error) {
	var p affectedPackage
	var err error
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
	if given && !strings.HasPrefix(p.purl, purl.Scheme) {
		return p, fmt.Errorf("%s %.80q is not a package URL", o.Name("purl"), p.purl)
	}
	return p, nil
}

// checkRanges checks the form of version ranges; their meaning is the reader's.
func checkRanges(entry ledger.Object) error {
	return eachUpTo(maxRanges, entry, "ranges", func(r ledger.Object) error {
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
		return checkEvents(r)
	})
}

// checkEvents wants one or more events, each with at least one version.
func checkEvents(r ledger.Object) error {
	count := 0
	err := eachUpTo(maxRanges, r, "events", func(e ledger.Object) error {
		count++
		known := 0
		for _, field := range [...]string{"introduced", "fixed", "last_affected", "limit"} {
			raw := e.Field(field)
			switch {
			case raw == nil:
			case !ledger.IsText(raw):
				return fmt.Errorf("%s is not a string", e.Name(field))
			default:
				known++
			}
		}
		if known == 0 {
			return fmt.Errorf("%s has none of introduced, fixed, last_affected, limit", e.Name(""))
		}
		return nil
	})
	if err == nil && count == 0 {
		err = fmt.Errorf("%s is missing or empty", r.Name("events"))
	}
	return err
}
