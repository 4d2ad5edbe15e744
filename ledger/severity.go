package ledger

import (
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/exportcenter/internal/cvss"
)

// Severity is how bad the author of a document says something is.
type Severity string

// The severities, the words of the CVSS qualitative scale.
const (
	SeverityCritical Severity = cvss.Critical
	SeverityHigh     Severity = cvss.High
	SeverityMedium   Severity = cvss.Medium
	SeverityLow      Severity = cvss.Low
	SeverityNone     Severity = cvss.None
)

// Severities lists every severity, the worst first.
var Severities = []Severity{SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow, SeverityNone}

// Valid reports whether s is one of the severities.
func (s Severity) Valid() bool { return slices.Contains(Severities, s) }

// Severity adds the severity that word means, in any case. Another word adds
// nothing: a severity serves selection only, so no document is refused for it.
func (f *Found) Severity(word string) {
	if known := cvss.Word(word); known != "" {
		f.severities.add(Severity(known))
	}
}

// Vector adds the severity of a CVSS vector's score, version 2 to 4; what is
// no vector adds nothing. A vector of version 2 says nowhere that it is one.
func (f *Found) Vector(vector string) {
	if version, score, err := cvss.Score(vector); err == nil {
		f.severities.add(Severity(cvss.Rate(version, score)))
	}
}

// Score adds the severity of a CVSS score, a JSON number, of a version such as
// "3.1", "CVSS_V3" or "CVSSv31". Other methods and numbers add nothing.
func (f *Found) Score(version string, number []byte) {
	major := strings.TrimLeft(strings.ToUpper(version), "CVS_")
	if major == "" || major[0] < '2' || major[0] > '4' {
		return
	}
	if score, err := strconv.ParseFloat(string(number), 64); err == nil && score >= 0 && score <= 10 {
		f.severities.add(Severity(cvss.Rate(major, score)))
	}
}

// Rating names the fields of an object that rates something.
type Rating struct{ Word, Score, Vector string }

// Rate adds the severity an object gives in words, or else the one that
// follows from its score, or else from its vector. version is that of the
// score. Fields that are no rating add nothing.
func (f *Found) Rate(o Object, version string, fields Rating) {
	before := f.severities
	f.severities = 0
	word, _, _ := o.Text(fields.Word)
	if f.Severity(word); f.severities == 0 {
		f.Score(version, o.Field(fields.Score))
	}
	if f.severities == 0 {
		vector, _, _ := o.Text(fields.Vector)
		f.Vector(vector)
	}
	f.severities |= before
}

// severities is a set, one bit per place in Severities.
type severities uint8

func (s *severities) add(severity Severity) { *s |= 1 << slices.Index(Severities, severity) }

func (s severities) sorted() []string {
	if s == 0 {
		return nil
	}
	var list []string
	for i, severity := range Severities {
		if s&(1<<i) != 0 {
			list = append(list, string(severity))
		}
	}
	slices.Sort(list)
	return list
}
