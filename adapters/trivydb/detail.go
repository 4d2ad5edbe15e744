package trivydb

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/advisory"
)

// detail is the value of an id in the bucket "vulnerability" (trivy-db
// pkg/types, Vulnerability).
type detail struct {
	Title            string          `json:",omitempty"`
	Description      string          `json:",omitempty"`
	Severity         string          `json:",omitempty"`
	CweIDs           []string        `json:",omitempty"`
	VendorSeverity   map[string]int  `json:",omitempty"`
	CVSS             map[string]cvss `json:",omitempty"`
	References       []string        `json:",omitempty"`
	PublishedDate    *time.Time      `json:",omitempty"`
	LastModifiedDate *time.Time      `json:",omitempty"`
}

type cvss struct {
	V2Vector  string  `json:",omitempty"`
	V3Vector  string  `json:",omitempty"`
	V40Vector string  `json:",omitempty"`
	V2Score   float64 `json:",omitempty"`
	V3Score   float64 `json:",omitempty"`
	V40Score  float64 `json:",omitempty"`
}

// Bounds of what one id refers to: documents are bounded, the number that name
// one id is not.
const (
	maxReferences = 1000
	maxCWEs       = 100
)

// detailOf is what one document says of its ids, in the name of data sources.
func detailOf(a *advisory.Advisory, sources ...string) detail {
	all := slices.Clone(a.Severities)
	for i := range a.Affected {
		all = append(all, a.Affected[i].Severities...)
	}
	d := detail{
		Title: beginOf(a.Title, maxTitle), Description: beginOf(a.Description, maxDescription),
		CweIDs: a.CWEs[:min(len(a.CWEs), maxCWEs)], References: shortURLs(a.References),
		PublishedDate: timeOf(a.Published), LastModifiedDate: timeOf(a.Modified),
	}
	if level := levelOf(all); level > 0 {
		d.Severity, d.VendorSeverity = levelNames[level], map[string]int{}
		for _, source := range sources {
			d.VendorSeverity[source] = level
		}
	}
	if scores := scoresOf(all); scores != (cvss{}) {
		d.CVSS = map[string]cvss{sources[0]: scores}
	}
	return d
}

// levelOf is the publisher's own word where there is one, else that of the
// newest version of CVSS; of several the highest.
func levelOf(all []advisory.Severity) (level int) {
	best := ""
	for _, s := range all {
		version := cmp.Or(s.Version, "word")
		switch {
		case version > best:
			best, level = version, levels[s.Word]
		case version == best:
			level = max(level, levels[s.Word])
		}
	}
	return level
}

// scoresOf is the highest score of each version of CVSS, with its vector.
func scoresOf(all []advisory.Severity) (c cvss) {
	higher := func(s advisory.Severity, vector *string, score *float64) {
		if *vector == "" || s.Score > *score {
			*vector, *score = s.Vector, s.Score
		}
	}
	for _, s := range all {
		switch {
		case s.Vector == "":
		case s.Version == "2.0":
			higher(s, &c.V2Vector, &c.V2Score)
		case strings.HasPrefix(s.Version, "3."):
			higher(s, &c.V3Vector, &c.V3Score)
		case s.Version == "4.0":
			higher(s, &c.V40Vector, &c.V40Score)
		}
	}
	return c
}

// timeOf gives nil for no time, and for the year 1, which some write instead.
func timeOf(text string) *time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() <= 1 {
		return nil
	}
	t = t.UTC()
	return &t
}

// merge adds what a document of lower precedence says: texts count where there
// were none, of severities and scores the highest of each publisher, lists come
// together, and the times are the first publication and the last change.
func (d *detail) merge(next detail) {
	d.Title = cmp.Or(d.Title, next.Title)
	d.Description = cmp.Or(d.Description, next.Description)
	d.Severity = cmp.Or(d.Severity, next.Severity)
	d.CweIDs = unique(append(d.CweIDs, next.CweIDs...))
	d.CweIDs = d.CweIDs[:min(len(d.CweIDs), maxCWEs)]
	if len(d.References) < maxReferences {
		d.References = inOrder(append(d.References, next.References...))
		d.References = d.References[:min(len(d.References), maxReferences)]
	}
	for from, level := range next.VendorSeverity {
		if d.VendorSeverity == nil {
			d.VendorSeverity = map[string]int{}
		}
		d.VendorSeverity[from] = max(d.VendorSeverity[from], level)
	}
	for from, scores := range next.CVSS {
		if d.CVSS == nil {
			d.CVSS = map[string]cvss{}
		}
		if before := d.CVSS[from]; before.highest() < scores.highest() {
			d.CVSS[from] = scores
		}
	}
	if before, after := d.PublishedDate, next.PublishedDate; before == nil || after != nil && after.Before(*before) {
		d.PublishedDate = after
	}
	if before, after := d.LastModifiedDate, next.LastModifiedDate; before == nil || after != nil && after.After(*before) {
		d.LastModifiedDate = after
	}
}

func (c cvss) highest() float64 { return max(c.V2Score, c.V3Score, c.V40Score) }
