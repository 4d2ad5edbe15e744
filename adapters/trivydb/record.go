package trivydb

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// record is the value of an advisory in a language's bucket and in most
// operating systems' (trivy-db pkg/types, Advisory). Trivy takes the fixed
// version to show from the "<" of VulnerableVersions. PatchedVersions is not
// written: a version in it is safe for Trivy even where another range holds it.
type record struct {
	VendorIDs          []string `json:",omitempty"`
	Severity           int      `json:",omitempty"`
	FixedVersion       string   `json:",omitempty"`
	AffectedVersion    string   `json:",omitempty"`
	VulnerableVersions []string `json:",omitempty"`
	Status             int      `json:",omitempty"`
}

// union is what several documents say of one package under one id, to be told
// once by text.
func union(a, b record) record {
	a.VendorIDs = append(a.VendorIDs, b.VendorIDs...)
	a.VulnerableVersions = append(a.VulnerableVersions, b.VulnerableVersions...)
	return a
}

// text is r as a value, with each id and each condition once.
func (r record) text() []byte {
	r.VendorIDs = unique(r.VendorIDs)
	r.VulnerableVersions = inOrder(r.VulnerableVersions)
	return encode(r)
}

// statuses are Trivy's numbers (trivy-db pkg/types, Statuses).
var statuses = map[string]int{
	"not_affected": 1, "affected": 2, "fixed": 3, "under_investigation": 4,
	"will_not_fix": 5, "fix_deferred": 6, "end_of_life": 7,
}

// levels are Trivy's severities, by our words.
var levels = map[string]int{"low": 1, "medium": 2, "high": 3, "critical": 4}

// levelNames are Trivy's words, by its numbers.
var levelNames = [...]string{"UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"}

// dataSource is whose records a root bucket holds.
type dataSource struct {
	ID   string `json:",omitempty"`
	Name string `json:",omitempty"`
	URL  string `json:",omitempty"`
}

// join is whose records a bucket holds that two publishers' documents are in.
func (d dataSource) join(other dataSource) dataSource {
	if d.ID != other.ID {
		d.ID = unknown.id
	}
	if d.URL != other.URL {
		d.URL = ""
	}
	if d.Name != other.Name { // of an operating system: several streams
		names := unique(append(strings.Split(d.Name, ", "), other.Name))
		d.Name = strings.Join(names[:min(len(names), maxNames)], ", ")
	}
	return d
}

// maxNames bounds the streams that a data source names.
const maxNames = 20

// encode is JSON on one line without HTML's escapes, which "<" does not need.
func encode(v any) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // texts and numbers of our own structs always encode
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// unique sorts a list and leaves each text in it once.
func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// inOrder leaves each text in the list where it is first.
func inOrder(list []string) []string {
	seen := make(map[string]bool, len(list))
	return slices.DeleteFunc(list, func(s string) bool {
		was := seen[s]
		seen[s] = true
		return was
	})
}

// without leaves out what is in a sorted list.
func without(list, sorted []string) []string {
	return slices.DeleteFunc(list, func(s string) bool {
		_, found := slices.BinarySearch(sorted, s)
		return found
	})
}
