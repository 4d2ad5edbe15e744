package trivydb

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/adapters"
)

// tally counts what goes into the database, and what does not.
type tally struct {
	Records  int64 // of packages
	Joined   int64 // that several sources have
	severity map[string]int64
	places   map[string]*Ecosystem
	lastName [2]string // slug and package that was counted last
	sources  map[source]*SourceTally
	reasons  map[string]int64
	without  smallest[Without]
	left     smallest[Left]
}

type source struct{ kind, source, stream string }

func newTally() *tally {
	return &tally{
		severity: map[string]int64{}, places: map[string]*Ecosystem{},
		sources: map[source]*SourceTally{}, reasons: map[string]int64{},
		without: smallest[Without]{less: compareWithout}, left: smallest[Left]{less: compareLeft},
	}
}

// document counts a document. Its key has its kind first and its stream last
// (ledger.Row.Key).
func (t *tally) document(doc adapters.Document) error {
	parts := strings.Split(doc.Key, "\n")
	if len(parts) != 5 {
		return fmt.Errorf("the key of document %s has %d parts, not 5", doc.ID, len(parts))
	}
	s := t.source(source{parts[0], doc.Source, parts[4]})
	s.Documents++
	s.Records += doc.Records
	if doc.Records == 0 {
		s.Without++
	}
	return nil
}

func (t *tally) source(of source) *SourceTally {
	s, known := t.sources[of]
	if !known {
		s = &SourceTally{Kind: of.kind, Source: of.source, Stream: of.stream}
		t.sources[of] = s
	}
	return s
}

func (t *tally) note(n note) {
	s := t.source(source{n.Kind, n.Source, n.Stream})
	s.Newest = max(s.Newest, n.Modified)
	if n.Reason != "" {
		t.reasons[n.Reason]++
		t.without.add(Without{n.Source, n.Stream, n.ID, n.Reason})
	}
	for _, what := range n.Left {
		t.left.add(Left{n.Source, n.Stream, n.ID, what})
	}
}

func (t *tally) place(name string) *Ecosystem {
	p, known := t.places[name]
	if !known {
		p = &Ecosystem{Name: name}
		t.places[name] = p
	}
	return p
}

// languagePackage is told of packages in order, some of them several times.
func (t *tally) languagePackage(slug, name string) {
	if at := [2]string{slug, name}; at != t.lastName {
		t.lastName = at
		t.place(slug).Packages++
	}
}

func (t *tally) languageRecord(slug string) {
	t.place(slug).Records++
	t.Records++
}

func (t *tally) systemPackage(root string) {
	if !strings.Contains(root, "::") && root != redHatCPERoot {
		t.place(root).Packages++
	}
}

func (t *tally) systemRecord(root string) {
	t.place(root).Records++
	t.Records++
}

func (t *tally) vulnerability(severity string) {
	t.severity[cmp.Or(severity, levelNames[0])]++
}

// counts is what the guard compares.
func (t *tally) counts() (list []adapters.SourceCount) {
	for _, s := range t.sourceList() {
		list = append(list, adapters.SourceCount{
			Source: s.Source, Stream: s.Stream, Kind: s.Kind,
			Documents: s.Documents, Records: s.Records, Newest: s.Newest,
		})
	}
	return list
}

func (t *tally) sourceList() []SourceTally {
	list := []SourceTally{}
	for _, s := range t.sources {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b SourceTally) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Stream, b.Stream))
	})
	return list
}

func (t *tally) summary() Summary {
	s := Summary{
		SchemaVersion: schema, Records: t.Records, Joined: t.Joined, Severities: t.severity,
		Sources: t.sourceList(), Ecosystems: []Ecosystem{}, Reasons: t.reasons,
		Without: t.without.list(), Left: t.left.list(), LeftCount: t.left.count,
	}
	for _, name := range slices.Sorted(maps.Keys(t.places)) {
		s.Ecosystems = append(s.Ecosystems, *t.places[name])
	}
	for _, n := range t.severity {
		s.Vulnerabilities += n
	}
	return s
}

// smallest keeps the first few of many in their order, whatever order they come in.
type smallest[T any] struct {
	less  func(a, b T) int
	kept  []T
	count int64
}

// keep is how many documents a summary names.
const keep = 500

func (s *smallest[T]) add(one T) {
	s.count++
	if s.kept = append(s.kept, one); len(s.kept) >= 2*keep {
		s.kept = s.list()
	}
}

func (s *smallest[T]) list() []T {
	slices.SortFunc(s.kept, s.less)
	return append([]T{}, s.kept[:min(len(s.kept), keep)]...)
}
