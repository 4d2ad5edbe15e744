package ledger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/export"
)

// SelectorMembers are the members of export.Selectors that leave documents out,
// in the order in which they are asked.
var SelectorMembers = []string{"kinds", "sources", "timeWindow", "severities", "products", "ecosystems", "sbomSubjects", "include", "exclude", "sample"}

// Exclusion is how much one member of the selectors leaves out, of what the
// members before it had left.
type Exclusion struct {
	Member    string
	Documents int64
	Bytes     int64 // of their canonical forms
}

// LeftOut gives the first member of sel that leaves o out, which was recorded at
// a time; "" when it is selected. It is the definition of a selection: stores
// find the same documents in their own ways.
func LeftOut(sel export.Selectors, o Observation, recorded time.Time) string {
	among := func(wanted []string, values ...string) bool {
		return len(wanted) == 0 || slices.ContainsFunc(values, func(v string) bool { return slices.Contains(wanted, v) })
	}
	matches := func(patterns []string) bool {
		return slices.ContainsFunc(append([]string{o.UpstreamID}, o.Aliases...), func(id string) bool {
			return slices.ContainsFunc(patterns, func(p string) bool { return MatchesID(p, id) })
		})
	}
	switch {
	case !among(sel.Kinds, string(o.Kind)):
		return "kinds"
	case !among(sel.Sources, o.Source):
		return "sources"
	case !inWindow(sel.TimeWindow, o.Modified, recorded):
		return "timeWindow"
	case !among(sel.Severities, o.Severities...):
		return "severities"
	case len(sel.Products) > 0 && !slices.ContainsFunc(o.Products, func(product string) bool {
		return slices.ContainsFunc(sel.Products, func(p string) bool { return MatchesProduct(p, product) })
	}):
		return "products"
	case !among(sel.Ecosystems, o.Ecosystems...):
		return "ecosystems"
	case len(sel.SBOMSubjects) > 0 && !IsAbout(sel.SBOMSubjects, SBOMSubjects(o.Kind, o.Format, o.Canonical)):
		return "sbomSubjects"
	case len(sel.Include) > 0 && !matches(sel.Include):
		return "include"
	case matches(sel.Exclude):
		return "exclude"
	case sel.Sample != nil && !sel.Sample.Keeps(o.UpstreamID):
		return "sample"
	}
	return ""
}

// IsAbout reports whether one of the subjects of an SBOM is like one of patterns,
// which follow the rule of ids.
func IsAbout(patterns, subjects []string) bool {
	return slices.ContainsFunc(subjects, func(subject string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return MatchesID(p, subject) })
	})
}

func inWindow(w *export.TimeWindow, modified string, recorded time.Time) bool {
	if w == nil {
		return true
	}
	if w.Field == export.TimeObserved {
		return (w.From == nil || !recorded.Before(*w.From)) && (w.To == nil || recorded.Before(*w.To))
	}
	return modified != "" && (w.From == nil || modified >= w.From.UTC().Format(ModifiedLayout)) &&
		(w.To == nil || modified < w.To.UTC().Format(ModifiedLayout))
}

// MatchesProduct reports whether a selector of products, as ProductPattern gives
// it, wants a product: without a star, of any version.
func MatchesProduct(pattern, product string) bool {
	if strings.Contains(pattern, "*") || strings.ContainsAny(pattern, "@?#") {
		return MatchesID(pattern, product)
	}
	rest, same := strings.CutPrefix(product, pattern)
	return same && (rest == "" || strings.ContainsRune("@?#", rune(rest[0])))
}

// MatchesID reports whether a pattern wants an id: the whole of it, byte by byte,
// where * in the pattern stands for any characters, also none.
func MatchesID(pattern, id string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == id
	}
	if !strings.HasPrefix(id, first) {
		return false
	}
	id = id[len(first):]
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(id, part)
		}
		at := strings.Index(id, part)
		if at < 0 {
			return false
		}
		id, rest = id[at+len(part):], after
	}
}

// IDPattern checks a pattern of ids and gives its one form: several stars in a
// row mean the same as one.
func IDPattern(pattern string) (string, error) {
	if pattern == "" {
		return "", fmt.Errorf("is empty; want an id such as CVE-2021-44228, or a pattern such as GHSA-*")
	}
	if err := checkText("id", pattern, MaxTerm); err != nil {
		return "", err
	}
	for strings.Contains(pattern, "**") {
		pattern = strings.ReplaceAll(pattern, "**", "*")
	}
	if strings.Count(pattern, "*") > maxStars {
		return "", fmt.Errorf("%.80q has more than %d stars", pattern, maxStars)
	}
	return pattern, nil
}
