package trivyjavadb

import (
	"cmp"
	"slices"
	"time"

	"github.com/stella-ops/exportcenter/adapters"
)

// Summary is trivy/summary.json: what is in the database, and what is not.
type Summary struct {
	Database      string `json:"database"`
	SchemaVersion int    `json:"schemaVersion"`
	// SQLite is the library that wrote the file, with its version.
	SQLite    string `json:"sqlite"`
	UpdatedAt string `json:"updatedAt"` // RFC 3339
	// Artifacts are rows of groups and artifacts, Indices those of files.
	Artifacts int64 `json:"artifacts"`
	Indices   int64 `json:"indices"`
	// Conflicts counts the files that documents name in several ways.
	Conflicts int64         `json:"conflicts"`
	Sources   []SourceTally `json:"sources"`
}

// SourceTally is what one stream of a source gave.
type SourceTally struct {
	Kind      string `json:"kind"`
	Source    string `json:"source"`
	Stream    string `json:"stream"`
	Documents int64  `json:"documents"`
	// Records are the files of the database that it names as the database does.
	Records int64 `json:"records"`
	// Left counts archives in no form that Trivy looks for, Unread documents of
	// which nothing could be read.
	Left   int64  `json:"left"`
	Unread int64  `json:"unread"`
	Newest string `json:"newest"`
}

// tally counts what goes into the database, and what does not.
type tally struct {
	Artifacts, Indices, Conflicts int64
	sources                       []*SourceTally // by their numbers, in the order of their coming
	numbers                       map[[3]string]int
}

func newTally() *tally { return &tally{numbers: map[[3]string]int{}} }

// document counts a document and gives the number of its source. Numbers tell
// sources apart within one Build; no byte depends on them.
func (t *tally) document(n note) (number int) {
	of := [3]string{n.Kind, n.Source, n.Stream}
	number, known := t.numbers[of]
	if !known {
		number = len(t.sources)
		t.numbers[of] = number
		t.sources = append(t.sources, &SourceTally{Kind: n.Kind, Source: n.Source, Stream: n.Stream})
	}
	s := t.sources[number]
	s.Documents++
	s.Left += n.Left
	if n.Unread != "" {
		s.Unread++
	}
	s.Newest = max(s.Newest, n.Modified)
	return number
}

func (t *tally) sorted() []SourceTally {
	list := make([]SourceTally, 0, len(t.sources))
	for _, s := range t.sources {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b SourceTally) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Stream, b.Stream))
	})
	return list
}

// counts is what the guard compares.
func (t *tally) counts() (list []adapters.SourceCount) {
	for _, s := range t.sorted() {
		list = append(list, adapters.SourceCount{Source: s.Source, Stream: s.Stream, Kind: s.Kind, Documents: s.Documents, Records: s.Records, Newest: s.Newest})
	}
	return list
}

func (t *tally) summary(stamp time.Time) Summary {
	return Summary{
		Database: databaseName, SchemaVersion: Schema, SQLite: libraryName, UpdatedAt: stamp.UTC().Format(time.RFC3339),
		Artifacts: t.Artifacts, Indices: t.Indices, Conflicts: t.Conflicts, Sources: t.sorted(),
	}
}
