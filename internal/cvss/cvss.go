// Package cvss rates: vectors of the Common Vulnerability Scoring System,
// versions 2.0 to 4.0, their scores, and the words that publishers use instead.
package cvss

import (
	"errors"
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"
)

// The words of the qualitative scale.
const (
	Critical = "critical"
	High     = "high"
	Medium   = "medium"
	Low      = "low"
	None     = "none"
)

// words are those that documents use. GitHub and Red Hat write moderate for
// medium; Red Hat's second of four steps is important
// (access.redhat.com/security/updates/classification).
var words = map[string]string{
	Critical: Critical, High: High, "important": High, Medium: Medium, "moderate": Medium, Low: Low, None: None,
}

const longestWord = len("important")

// Word is the word of the scale that a publisher's word means, in any case, ""
// for another one.
func Word(word string) string {
	if len(word) > longestWord {
		return ""
	}
	if known := words[word]; known != "" {
		return known
	}
	return words[strings.ToLower(word)]
}

// maxVector is longer than every vector with all its metrics.
const maxVector = 400

// ErrVector says that something is not a vector of a known version.
var ErrVector = errors.New("not a CVSS vector of version 2.0, 3.0, 3.1 or 4.0")

// Score gives the version of a vector, "2.0", "3.0", "3.1" or "4.0", and its
// base score; version 4.0 has one score for all metrics. A vector of version
// 2.0 says nowhere that it is one, and may stand in parentheses. A slash at the
// end, which some publish, is overlooked.
func Score(vector string) (version string, score float64, err error) {
	if len(vector) > maxVector {
		return "", 0, ErrVector
	}
	vector = strings.TrimSuffix(vector, "/")
	switch {
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		v, err := gocvss31.ParseVector(vector)
		if err != nil {
			return "", 0, ErrVector
		}
		return "3.1", v.BaseScore(), nil
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		v, err := gocvss30.ParseVector(vector)
		if err != nil {
			return "", 0, ErrVector
		}
		return "3.0", v.BaseScore(), nil
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		v, err := gocvss40.ParseVector(vector)
		if err != nil {
			return "", 0, ErrVector
		}
		return "4.0", v.Score(), nil
	}
	v, err := gocvss20.ParseVector(strings.TrimSuffix(strings.TrimPrefix(vector, "("), ")"))
	if err != nil {
		return "", 0, ErrVector
	}
	return "2.0", v.BaseScore(), nil
}

// Rate is the word for a score: the qualitative scale of CVSS 3.0 section 5,
// 3.1 section 5 and 4.0 section 6. Version 2 has none of its own; NVD's has
// three steps (nvd.nist.gov/vuln-metrics/cvss).
func Rate(version string, score float64) string {
	second := strings.HasPrefix(version, "2")
	switch {
	case second && score < 4:
		return Low
	case second && score >= 7:
		return High
	case score == 0:
		return None
	case score < 4:
		return Low
	case score < 7:
		return Medium
	case score < 9:
		return High
	}
	return Critical
}
