package trivydb

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Red Hat's records have a form of their own (trivy-db pkg/vulnsrc/redhat-oval):
// under a package and an erratum, or a CVE without a fix, a list of entries, each
// with the platforms that it is for. Platforms are CPEs, written as numbers; a
// bucket beside says which of them a repository serves.
const (
	redHatRoot    = "Red Hat"
	redHatCPERoot = "Red Hat CPE"
)

// redHatEntry is one fix, or the lack of one, as packed lines have it: without
// its platforms.
type redHatEntry struct {
	FixedVersion string      `json:",omitempty"`
	Cves         []redHatCVE // never empty: Trivy reports one finding for each
	Arches       []string    `json:",omitempty"`
	Affected     []int       `json:",omitempty"`
	Status       int         `json:",omitempty"`
}

type redHatCVE struct {
	ID       string `json:",omitempty"` // "" where the key is the CVE
	Severity int    `json:",omitempty"`
}

var erratum = regexp.MustCompile(`RH[SBE]A-[0-9]{4}:[0-9]+$`)

// packRedHat packs a package on one platform.
func (p *packing) packRedHat(one affectedPackage) {
	if !isKey(one.release) {
		p.leave("%s:%.80q %s: no CPE", one.ecosystem, one.release, one.name)
		return
	}
	for _, a := range one.parts {
		name := one.name
		if a.Module != "" {
			name = a.Module + "::" + name // as Trivy asks for modular packages
		}
		if !isKey(name) {
			p.leave("%s %.80q: the name cannot be a key", one.ecosystem, name)
			continue
		}
		arches := slices.DeleteFunc(slices.Clone(a.Arches), func(arch string) bool { return arch == "src" })
		if len(a.Arches) > 0 && len(arches) == 0 {
			continue // a source package is never installed
		}
		entry := redHatEntry{Arches: arches, Status: statuses[a.Status]}
		for _, r := range a.Ranges {
			for _, e := range r.Events {
				entry.FixedVersion = e.Fixed
			}
		}
		level := levelOf(a.Severities)
		if level == 0 {
			level = p.level
		}
		for _, id := range p.ids {
			key := id
			entry.Cves = []redHatCVE{{Severity: level}}
			if fixedBy := p.erratum(a.FixedBy); entry.FixedVersion != "" && fixedBy != "" {
				key, entry.Cves[0].ID, entry.Status = fixedBy, id, 0
			}
			if !p.add(redHatLine, name, key, one.release, string(encode(entry))) {
				break
			}
			p.records++
		}
	}
	p.addSource(redHatRoot, redHat)
}

// erratum is the advisory that brings a fix: the document itself, or what a
// remediation refers to; "" for none.
func (p *packing) erratum(url string) string {
	if found := erratum.FindString(p.document); found != "" {
		return found
	}
	return erratum.FindString(url)
}

// maxCPEs bounds the platforms of one database; Red Hat has some thousands.
const maxCPEs = 100_000

// platforms are the CPEs of a database: what stands behind "cpe:/o:redhat:", or
// behind "cpe:/a:redhat:", which Trivy does not tell apart.
type platforms map[string]int

func (p platforms) add(cpe []byte) error {
	if _, known := p[string(cpe)]; known {
		return nil
	}
	if len(p) == maxCPEs {
		return fmt.Errorf("there are more than %d platforms of Red Hat; select fewer sources", maxCPEs)
	}
	p[string(cpe)] = 0
	return nil
}

// number numbers the platforms in their order.
func (p platforms) number() {
	for i, cpe := range slices.Sorted(maps.Keys(p)) {
		p[cpe] = i
	}
}

// lines are those of the bucket "Red Hat CPE": the CPE of each number, and the
// numbers of each repository.
func (p platforms) lines() (lines []string) {
	served := map[string][]int{}
	for cpe, i := range p {
		lines = append(lines, joinLine(redHatCPERoot, "cpe", strconv.Itoa(i), string(encode(cpe))))
		for _, repository := range repositories(cpe) {
			served[repository] = append(served[repository], i)
		}
	}
	for repository, numbers := range served {
		slices.Sort(numbers)
		lines = append(lines, joinLine(redHatCPERoot, "repository", repository, string(encode(numbers))))
	}
	return lines
}

func joinLine(fields ...string) string { return strings.Join(fields, separator) }

var (
	redHatArches = []string{"aarch64", "ppc64le", "s390x", "x86_64"}
	// streams are the products whose repositories are named alike, and the word
	// in those names.
	streams = map[string]string{"enterprise_linux": "", "rhel_eus": "-eus", "rhel_aus": "-aus", "rhel_tus": "-tus", "rhel_e4s": "-e4s"}
	// oldVariants are those of releases 6 and 7.
	oldVariants = map[string]string{"server": "server", "client": "desktop", "workstation": "workstation", "computenode": "hpc-node"}
)

// repositories are those that serve a platform, by the rule that Red Hat names
// them by: "enterprise_linux:9::appstream" is rhel-9-for-x86_64-appstream-rpms.
// Red Hat publishes the full list apart from its advisories; of a platform that
// the rule knows nothing of Trivy finds nothing.
func repositories(cpe string) (names []string) {
	parts := append(strings.Split(cpe, ":"), "", "", "")
	stream, known := streams[parts[0]]
	version, variant := parts[1], parts[3]
	major, minor, _ := strings.Cut(version, ".")
	switch {
	case !known || major == "":
		return nil
	case major == "6" || major == "7":
		if name, known := oldVariants[variant]; known && minor == "" {
			return []string{"rhel-" + major + "-" + name + "-rpms"}
		}
		if variant == "" && minor == "" {
			return []string{"rhel-" + major + "-server-rpms"}
		}
		return nil
	}
	variants := []string{variant}
	if variant == "" {
		variants = []string{"baseos", "appstream"}
	}
	suffix := ""
	if stream != "" && minor != "" {
		suffix = "__" + major + "_DOT_" + minor
	}
	for _, variant := range variants {
		for _, arch := range redHatArches {
			if variant == "crb" {
				names = append(names, "codeready-builder-for-rhel-"+major+"-"+arch+stream+"-rpms"+suffix)
			} else {
				names = append(names, "rhel-"+major+"-for-"+arch+"-"+variant+stream+"-rpms"+suffix)
			}
		}
	}
	return names
}

// redHatValue is the list of entries of one key, each with all its platforms.
type redHatValue struct {
	platforms platforms
	entries   []redHatEntry
	at        map[string]int // of the packed text
}

func (v *redHatValue) add(rest []byte) error {
	fields, text, ok := cut(rest, 1) // platform
	if !ok {
		return fmt.Errorf("a record of Red Hat has too few fields")
	}
	number, known := v.platforms[string(fields[0])]
	if !known {
		return fmt.Errorf("platform %q has no number", fields[0])
	}
	at, known := v.at[string(text)]
	if !known {
		at = len(v.entries)
		var entry redHatEntry
		if err := json.Unmarshal(text, &entry); err != nil {
			return err
		}
		if v.at == nil {
			v.at = map[string]int{}
		}
		v.at[string(text)] = at
		v.entries = append(v.entries, entry)
	}
	if list := v.entries[at].Affected; len(list) == 0 || list[len(list)-1] != number {
		v.entries[at].Affected = append(list, number)
	}
	return nil
}

func (v *redHatValue) done(t *tally) []byte {
	t.systemRecord(redHatRoot)
	text := encode(struct{ Entries []redHatEntry }{v.entries})
	v.entries = v.entries[:0]
	clear(v.at)
	return text
}

// plainValue is a value that comes as it is.
type plainValue struct{ text []byte }

func (v *plainValue) add(rest []byte) error {
	v.text = append(v.text[:0], rest...)
	return nil
}

func (v *plainValue) done(*tally) []byte { return v.text }
