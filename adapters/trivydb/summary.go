package trivydb

import "cmp"

// Summary is trivy/summary.json: what is in the database, and what is not.
type Summary struct {
	SchemaVersion int `json:"schemaVersion"`
	// Records of packages, and Vulnerabilities that they are of.
	Records         int64 `json:"records"`
	Vulnerabilities int64 `json:"vulnerabilities"`
	// Joined counts the packages' ids that several sources have.
	Joined int64 `json:"joined"`
	// Ecosystems are languages by Trivy's short names and operating systems by
	// their root buckets, sorted.
	Ecosystems []Ecosystem `json:"ecosystems"`
	// Severities count vulnerabilities by Trivy's words.
	Severities map[string]int64 `json:"severities"`
	Sources    []SourceTally    `json:"sources"`
	// Reasons count the documents without a record; Without names the first 500
	// of them, in order.
	Reasons map[string]int64 `json:"reasons"`
	Without []Without        `json:"without"`
	// LeftCount counts what was left out or said less exactly; Left names the
	// first 500.
	LeftCount int64  `json:"leftCount"`
	Left      []Left `json:"left"`
}

// Ecosystem counts the packages of one, and the records of all its buckets.
type Ecosystem struct {
	Name     string `json:"name"`
	Packages int64  `json:"packages"`
	Records  int64  `json:"records"`
}

// SourceTally is what one stream of a source gave.
type SourceTally struct {
	Kind      string `json:"kind"`
	Source    string `json:"source"`
	Stream    string `json:"stream"`
	Documents int64  `json:"documents"`
	Without   int64  `json:"documentsWithoutRecords"`
	Records   int64  `json:"records"`
	Newest    string `json:"newest"`
}

// Without is a document that gives no record.
type Without struct {
	Source string `json:"source"`
	Stream string `json:"stream"`
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// Left is what a document says and the database does not, or not as exactly.
type Left struct {
	Source string `json:"source"`
	Stream string `json:"stream"`
	ID     string `json:"id"`
	What   string `json:"what"`
}

func compareWithout(a, b Without) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Reason, b.Reason))
}

func compareLeft(a, b Left) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.ID, b.ID), cmp.Compare(a.What, b.What))
}
