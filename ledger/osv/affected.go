package osv

import (
	"fmt"
	"strings"
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

func readAffected(doc object) ([]affectedPackage, error) {
	entries, err := doc.objects("affected")
	if err != nil {
		return nil, err
	}
	if len(entries) > maxAffected {
		return nil, fmt.Errorf("affected has %d entries, at most %d are taken", len(entries), maxAffected)
	}
	var packages []affectedPackage
	for _, entry := range entries {
		if err := checkRanges(entry); err != nil {
			return nil, err
		}
		if _, err := entry.texts("versions"); err != nil {
			return nil, err
		}
		raw := entry.get("package")
		if raw == nil { // allowed for ranges of commits
			continue
		}
		p, err := readPackage(entry.name("package"), raw)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	return packages, nil
}

func readPackage(path string, raw []byte) (affectedPackage, error) {
	var p affectedPackage
	o, err := parseObject(path, raw)
	if err != nil {
		return p, err
	}
	if p.ecosystem, err = o.requireText("ecosystem"); err != nil {
		return p, err
	}
	if p.name, err = o.requireText("name"); err != nil {
		return p, err
	}
	var given bool
	if p.purl, given, err = o.text("purl"); err != nil {
		return p, err
	}
	if given && !strings.HasPrefix(p.purl, purlScheme) {
		return p, fmt.Errorf("%s %.80q is not a package URL", o.name("purl"), p.purl)
	}
	return p, nil
}

// checkRanges checks the form of version ranges; their meaning is the reader's.
func checkRanges(entry object) error {
	ranges, err := entry.objects("ranges")
	if err != nil {
		return err
	}
	for _, r := range ranges {
		kind, err := r.requireText("type")
		if err != nil {
			return err
		}
		switch kind {
		case "SEMVER", "ECOSYSTEM":
		case "GIT":
			if _, err := r.requireText("repo"); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s %.40q is not one of SEMVER, ECOSYSTEM, GIT", r.name("type"), kind)
		}
		if err := checkEvents(r); err != nil {
			return err
		}
	}
	return nil
}

func checkEvents(r object) error {
	events, err := r.objects("events")
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return fmt.Errorf("%s is missing or empty", r.name("events"))
	}
	for _, e := range events {
		known := 0
		for _, field := range []string{"introduced", "fixed", "last_affected", "limit"} {
			_, found, err := e.text(field)
			if err != nil {
				return err
			}
			if found {
				known++
			}
		}
		if known == 0 {
			return fmt.Errorf("%s has none of introduced, fixed, last_affected, limit", e.name(""))
		}
	}
	return nil
}
