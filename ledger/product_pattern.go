package ledger

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxStars bounds the stars of a pattern: each can make a comparison longer.
const maxStars = 8

// productForm is a package URL's scheme, type and name, or a pattern whose
// first star comes no earlier than right after the scheme.
var productForm = regexp.MustCompile(`^pkg:(?:[A-Za-z][A-Za-z0-9.+-]*/[^/].*|[A-Za-z0-9.+-]*\*.*)$`)

// ProductPattern checks a selector of products and gives its one form. It is a
// package URL without a version, or a pattern of such in which * stands for
// any characters, also none: "pkg:npm/lodash", "pkg:maven/org.apache*".
// Several stars in a row mean the same as one. See export.Selectors.
func ProductPattern(pattern string) (string, error) {
	if pattern == "" {
		return "", errors.New("is empty; want a package URL such as pkg:npm/lodash")
	}
	if err := checkText("package URL", pattern, MaxTerm); err != nil {
		return "", err
	}
	for strings.Contains(pattern, "**") {
		pattern = strings.ReplaceAll(pattern, "**", "*")
	}
	switch {
	case strings.ContainsRune(pattern, ' '):
		return "", fmt.Errorf("%.80q holds a space; a package URL writes it %%20", pattern)
	case !productForm.MatchString(pattern):
		return "", fmt.Errorf("%.80q is not a package URL or a pattern of one, such as pkg:npm/lodash or pkg:maven/org.apache*", pattern)
	case versionAt(pattern) >= 0:
		return "", fmt.Errorf("%.80q has a version; products are selected without one (the @ of an npm scope is written %%40)", pattern)
	case strings.Count(pattern, "*") > maxStars:
		return "", fmt.Errorf("%.80q has more than %d stars", pattern, maxStars)
	}
	return pattern, nil
}

// versionAt finds the @ before a version, -1 without one. An @ right after a
// slash begins a name that somebody forgot to escape.
func versionAt(purl string) int {
	for i := 1; i < len(purl); i++ {
		if purl[i] == '@' && purl[i-1] != '/' {
			return i
		}
		if purl[i] == '?' || purl[i] == '#' { // qualifiers may hold anything
			return -1
		}
	}
	return -1
}
