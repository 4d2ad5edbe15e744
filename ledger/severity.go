package ledger

import (
	"slices"
	"strconv"
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"
)

// Severity is how bad the author of a document says something is.
type Severity string

// The severities, the words of the CVSS qualitative scale.
const (
	SeverityCritical Severity = "critical"
	SeverityHigh     Severity = "high"
	SeverityMedium   Severity = "medium"
	SeverityLow      Severity = "low"
	SeverityNone     Severity = "none"
)

// Severities lists every severity, the worst first.
var Severities = []Severity{SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow, SeverityNone}

// Valid reports whether s is one of the severities.
func (s Severity) Valid() bool { return slices.Contains(Severities, s) }

// severityWords are the words documents use. GitHub and Red Hat write moderate
// for medium; Red Hat's second of four steps is important
// (access.redhat.com/security/updates/classification).
var severityWords = map[string]Severity{
	"critical": SeverityCritical, "high": SeverityHigh, "important": SeverityHigh,
	"medium": SeverityMedium, "moderate": SeverityMedium, "low": SeverityLow, "none": SeverityNone,
}

const longestSeverityWord = len("important")

// Severity adds the severity that word means, in any case. Another word adds
// nothing: a severity serves selection only, so no document is refused for it.
func (f *Found) Severity(word string) {
	if len(word) > longestSeverityWord {
		return
	}
	if s, known := severityWords[word]; known {
		f.severities.add(s)
	} else if s, known := severityWords[strings.ToLower(word)]; known {
		f.severities.add(s)
	}
}

// Vector adds the severity of a CVSS vector's score, version 2 to 4; what is
// no vector adds nothing. A vector of version 2 says nowhere that it is one.
func (f *Found) Vector(vector string) {
	if len(vector) > maxVector {
		return
	}
	if version, score, err := scoreOf(vector); err == nil {
		f.severities.add(rate(version, score))
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
		f.severities.add(rate(int(major[0]-'0'), score))
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

// maxVector is longer than every vector with all its metrics.
const maxVector = 400

// scoreOf gives the base score of a vector of version 2 or 3; version 4 has one
// score for all metrics.
func scoreOf(vector string) (version int, score float64, err error) {
	switch {
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		v, err := gocvss31.ParseVector(vector)
		if err != nil {
			return 0, 0, err
		}
		return 3, v.BaseScore(), nil
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		v, err := gocvss30.ParseVector(vector)
		if err != nil {
			return 0, 0, err
		}
		return 3, v.BaseScore(), nil
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		v, err := gocvss40.ParseVector(vector)
		if err != nil {
			return 0, 0, err
		}
		return 4, v.Score(), nil
	}
	v, err := gocvss20.ParseVector(strings.TrimSuffix(strings.TrimPrefix(vector, "("), ")"))
	if err != nil {
		return 0, 0, err
	}
	return 2, v.BaseScore(), nil
}

// rate is the qualitative scale of CVSS 3.0 section 5, 3.1 section 5 and 4.0
// section 6. Version 2 has none of its own; NVD's has three steps
// (nvd.nist.gov/vuln-metrics/cvss).
func rate(version int, score float64) Severity {
	switch {
	case version == 2 && score < 4:
		return SeverityLow
	case version == 2 && score >= 7:
		return SeverityHigh
	case score == 0:
		return SeverityNone
	case score < 4:
		return SeverityLow
	case score < 7:
		return SeverityMedium
	case score < 9:
		return SeverityHigh
	}
	return SeverityCritical
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
