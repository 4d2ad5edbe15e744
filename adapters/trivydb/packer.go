package trivydb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/ledger"
)

// packer turns documents into lines.
type packer struct{}

// Write writes the lines of a document: its document line, its note, and what
// goes into the database.
func (packer) Write(w adapters.LineWriter, doc ledger.Line) (adapters.Written, error) {
	p := &packing{doc: doc, note: note{Kind: string(doc.Kind), Source: doc.Source, Stream: doc.Stream, ID: doc.UpstreamID, Modified: doc.Modified}}
	p.read()
	return adapters.Written{}, p.write(w)
}

// write writes what was packed.
func (p *packing) write(w adapters.LineWriter) error {
	p.leaveLines()
	head, err := adapters.AppendDocument(nil, p.doc, p.records)
	if err != nil {
		return fmt.Errorf("document line of %s: %w", p.doc.UpstreamID, err)
	}
	for _, line := range append([][]byte{head, append([]byte{noteLine}, encode(p.note)...)}, p.lines...) {
		if err := w.WriteLine(line); err != nil {
			return err
		}
	}
	return nil
}

// packing is one document being packed.
type packing struct {
	doc     ledger.Line
	note    note
	lines   [][]byte
	size    int // of lines, in bytes
	records int64
	skipped int             // lines that there was no room for
	full    bool            // there is room for no further record
	buckets map[string]bool // whose source is named

	document  string // its own id
	published string // when, in the ledger's layout; else when it was modified
	publisher publisher
	ids       []string // under which its records go
	others    []string
	level     int // how severe they are, as a whole
	// sources are those that Trivy asks for the severity: of an operating system
	// it asks the one whose bucket it is, whoever published.
	sources []string
}

func (p *packing) read() {
	vex := p.doc.Kind == ledger.KindVEX && p.doc.Format == "csaf"
	if p.doc.Kind != ledger.KindAdvisory && !vex {
		p.note.Reason = reasonKind
		return
	}
	a, err := advisory.Read(p.doc.Format, p.doc.Canonical)
	if vex && err == nil {
		a.Affected, a.Unread = ofRedHat(a.Affected), nil
		if len(a.Affected) == 0 {
			p.note.Reason = reasonKind
			return
		}
	}
	if err != nil {
		p.note.Reason = reasonUnread
		p.leave("%v", err)
		return
	}
	for _, what := range a.Unread {
		p.leave("%s", what)
	}
	p.pack(a)
	if p.records > 0 { // commits besides versions are no loss
		p.note.Left = slices.DeleteFunc(p.note.Left, func(what string) bool { return strings.HasSuffix(what, " of type GIT") })
	}
}

// ofRedHat leaves what is about Red Hat's own packages: its VEX documents say
// what has no fix. Those of others speak of a product, not of all who use a package.
func ofRedHat(affected []advisory.Affected) []advisory.Affected {
	return slices.DeleteFunc(affected, func(a advisory.Affected) bool { return !strings.HasPrefix(a.Ecosystem, redHatSystem+":") })
}

// pack packs what the document says, vulnerability by vulnerability.
func (p *packing) pack(a advisory.Advisory) {
	if a.Withdrawn != "" {
		p.note.Reason = reasonWithdrawn
		return
	}
	p.document = a.ID
	p.published = p.doc.Modified
	if at := timeOf(a.Published); at != nil {
		p.published = at.Format(ledger.ModifiedLayout)
	}
	p.publisher = publisherOf(a.ID, a.Affected)
	p.note.Reason = reasonNothing
	for _, one := range a.Split() {
		p.packOne(&one)
	}
	if p.records > 0 {
		p.note.Reason = ""
	}
}

func (p *packing) packOne(a *advisory.Advisory) {
	p.ids, p.others = identify(a.ID, slices.Concat(a.Aliases, a.Upstream))
	p.ids = slices.DeleteFunc(p.ids, func(id string) bool {
		if isKey(id) {
			return false
		}
		p.leave("id %.80q cannot be a key", id)
		return true
	})
	p.boundIDs()
	before := p.records
	p.sources = []string{p.publisher.id}
	p.level = levelOf(a.Severities)
	for _, one := range packages(a.Affected) {
		p.packPackage(one)
	}
	if p.records == before {
		return
	}
	about := detailOf(a, p.sources...)
	value := string(encode(about))
	rank := fmt.Sprintf("%02d", slices.Index(precedence, p.publisher.id)+1)
	for _, id := range p.ids {
		p.addDetail(id, rank, about, value)
	}
}

// affectedPackage is what a document says of one package: OSV lists a package
// once for each of its branches, or all of them in one.
type affectedPackage struct {
	ecosystem, release, name string
	parts                    []advisory.Affected
}

func packages(affected []advisory.Affected) (list []affectedPackage) {
	at := map[[2]string]int{}
	for _, a := range affected {
		ecosystem, release, _ := strings.Cut(a.Ecosystem, ":")
		key := [2]string{a.Ecosystem, a.Name}
		if bucket, ok := systems[ecosystem].bucket(release); ok && systems[ecosystem].root != "" {
			key[0] = bucket // which two of its releases may share
		}
		i, known := at[key]
		if !known {
			i = len(list)
			at[key] = i
			list = append(list, affectedPackage{ecosystem: ecosystem, release: release, name: a.Name})
		}
		list[i].parts = append(list[i].parts, a)
	}
	return list
}

func (p *packing) packPackage(one affectedPackage) {
	if p.full {
		return
	}
	if lang, known := languages[one.ecosystem]; known {
		p.packLanguage(lang, one)
		return
	}
	if sys, known := systems[one.ecosystem]; known {
		p.packSystem(sys, one)
		return
	}
	if one.ecosystem == redHatSystem {
		p.packRedHat(one)
		return
	}
	p.leave("%s %s: Trivy scans no such ecosystem in this form", one.ecosystem, one.name)
}

// lacksVersions notes that a package gives no record.
func (p *packing) lacksVersions(one affectedPackage) {
	p.note.Reason = reasonVersions
	for _, a := range one.parts {
		if len(a.Ranges)+len(a.Versions) > 0 {
			return // what is wrong with them is said
		}
	}
	p.leave("%s %s: neither ranges nor versions", one.ecosystem, one.name)
}

// identity tells documents apart, in an order that no run changes.
func (p *packing) identity() string {
	return p.doc.Source + "\x01" + p.doc.Stream + "\x01" + p.doc.UpstreamID
}

func (p *packing) addSource(bucket string, from publisher) {
	if p.buckets[bucket] {
		return
	}
	if p.buckets == nil {
		p.buckets = map[string]bool{}
	}
	p.buckets[bucket] = true
	name := sourceName(p.doc.Source, p.doc.Stream)
	p.add(sourceLine, bucket, from.id, string(encode(dataSource{ID: from.id, Name: name, URL: from.url})))
}

// sourceName is a name for each stream of each source, and for one only.
func sourceName(source, stream string) string {
	return strings.NewReplacer("%", "%25", "/", "%2F").Replace(source) + "/" + stream
}
