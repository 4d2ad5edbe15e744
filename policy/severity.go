package policy

import (
	"slices"

	"github.com/stella-ops/exportcenter/advisory"
)

// words are severities from the least on.
var words = []string{"unknown", "none", "low", "medium", "high", "critical"}

// worst is the worst word and the greatest score of a list: unknown and 0 when
// it is empty.
func worst(all []advisory.Severity) (word string, score float64) {
	rank := 0
	for _, s := range all {
		rank = max(rank, slices.Index(words, s.Word))
		score = max(score, s.Score)
	}
	return words[rank], score
}

func severities(all []advisory.Severity) []Severity {
	out := make([]Severity, 0, len(all))
	for _, s := range all {
		out = append(out, Severity{Score: s.Score, Vector: s.Vector, Version: s.Version, Word: s.Word})
	}
	return out
}

// worseOf merges what two affected packages of one advisory say: the worse one.
func worseOf(a, b Advisory) Advisory {
	if rank := slices.Index(words, b.Severity) - slices.Index(words, a.Severity); rank > 0 || rank == 0 && b.Score > a.Score {
		a.Severity, a.Score, a.Severities = b.Severity, b.Score, b.Severities
	}
	if a.Status == "" {
		a.Status = b.Status
	}
	return a
}
