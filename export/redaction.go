package export

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Redaction is an allow-list: of the evidence, an export holds the fields that
// are named here and nothing else. No Redaction means everything.
//
// What is named by kind are fields of the document; Linkset names the lists
// that the envelope around it repeats from it. Kind, format, source, stream,
// upstream id, modification time and the digest of the original always stay:
// they say which document it is.
type Redaction struct {
	// PolicyID is the requester's name for the policy; it is in the manifest and
	// in every redacted line.
	PolicyID string `json:"policyId"`
	// Allow gives the field paths to keep by kind (advisory, vex, sbom ...). A
	// document of a kind that is not in it fails the run.
	Allow map[string][]string `json:"allow"`
	// Linkset gives the lists to keep of aliases, ecosystems and products. The
	// subject is a product and stays with them.
	Linkset []string `json:"linkset,omitempty"`
}

// KeepAll is the path that keeps a whole document.
const KeepAll = "*"

// Bounds of a redaction.
const (
	MaxRedactionPaths = 1000 // of a kind
	maxRedactionPath  = 512  // bytes
	maxRedactionDepth = 32   // steps, lists counted
)

var (
	redactionKinds = []string{"advisory", "vex", "sbom", "finding", "policy", "attestation", "artifact"}
	linksetLists   = []string{"aliases", "ecosystems", "products"}
	policyForm     = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._:/-]{0,126}[A-Za-z0-9])?$`)
)

// Validate says which part of r is wrong. A nil redaction is right.
func (r *Redaction) Validate() error {
	if r == nil {
		return nil
	}
	if !policyForm.MatchString(r.PolicyID) {
		return redactionError("policyId", "%.140q is not 1 to 128 letters, digits and . _ : / -", r.PolicyID)
	}
	if len(r.Allow) == 0 {
		return redactionError("allow", "is empty; give the paths to keep of each kind, or [%q] for all of them", KeepAll)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Allow)) {
		if !slices.Contains(redactionKinds, kind) {
			return redactionError("allow", "%.40q is not a kind; kinds are %s", kind, strings.Join(redactionKinds, ", "))
		}
		if err := checkPaths("allow."+kind, r.Allow[kind]); err != nil {
			return err
		}
	}
	for i, list := range r.Linkset {
		if !slices.Contains(linksetLists, list) || slices.Contains(r.Linkset[:i], list) {
			return redactionError(fmt.Sprintf("linkset[%d]", i), "%.40q is not one of %s, each at most once", list, strings.Join(linksetLists, ", "))
		}
	}
	return nil
}

func checkPaths(field string, paths []string) error {
	if len(paths) == 0 || len(paths) > MaxRedactionPaths {
		return redactionError(field, "has %d paths; want 1 to %d", len(paths), MaxRedactionPaths)
	}
	for i, path := range paths {
		if _, err := ParseFieldPath(path); err != nil {
			return redactionError(fmt.Sprintf("%s[%d]", field, i), "%v", err)
		}
		if path == KeepAll && len(paths) > 1 {
			return redactionError(fmt.Sprintf("%s[%d]", field, i), "%q keeps everything and stands alone", KeepAll)
		}
		if slices.Contains(paths[:i], path) {
			return redactionError(fmt.Sprintf("%s[%d]", field, i), "%.80q is there twice", path)
		}
	}
	return nil
}

func redactionError(field, format string, args ...any) error {
	err := Errorf(CodeValidation, "options.redaction."+field+": "+format, args...)
	err.Field = "options.redaction." + field
	return err
}

// Normal is the one form of a valid redaction: lists are sorted, so that the
// order in which they were written leaves no trace.
func (r *Redaction) Normal() *Redaction {
	if r == nil {
		return nil
	}
	normal := Redaction{PolicyID: r.PolicyID, Allow: make(map[string][]string, len(r.Allow)), Linkset: slices.Sorted(slices.Values(r.Linkset))}
	for kind, paths := range r.Allow {
		normal.Allow[kind] = slices.Sorted(slices.Values(paths))
	}
	return &normal
}

// Keeps reports whether the envelope's list of that name stays.
func (r *Redaction) Keeps(list string) bool { return r == nil || slices.Contains(r.Linkset, list) }

// Fingerprint tells redactions apart whose lines can differ: "" without one.
// A packed shard may be used again only under the same fingerprint.
func (r *Redaction) Fingerprint() string {
	if r == nil {
		return ""
	}
	text, err := json.Marshal(r) // maps are sorted
	if err != nil {
		panic(err) // strings always encode
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(text))
}

// FieldStep is one step of a field path: into the member Name, then into the
// elements of that many lists within each other.
type FieldStep struct {
	Name  string
	Lists int
}

// ParseFieldPath reads a path such as "affected[].package.name". Names are
// joined by dots, [] enters the elements of a list, and a name with a dot, a
// bracket, an asterisk, white space or a quote in it is written as a JSON string:
// database_specific."a.b". KeepAll alone has no steps.
func ParseFieldPath(path string) ([]FieldStep, error) {
	if path == KeepAll {
		return nil, nil
	}
	if len(path) > maxRedactionPath || !utf8.ValidString(path) {
		return nil, fmt.Errorf("path %.80q has more than %d bytes or is not UTF-8", path, maxRedactionPath)
	}
	var steps []FieldStep
	rest, depth := path, 0
	for {
		name, after, err := cutName(rest)
		if err != nil {
			return nil, fmt.Errorf("path %.80q: %w", path, err)
		}
		step := FieldStep{Name: name}
		for strings.HasPrefix(after, "[]") {
			step.Lists, after = step.Lists+1, after[2:]
		}
		if depth += 1 + step.Lists; depth > maxRedactionDepth {
			return nil, fmt.Errorf("path %.80q has more than %d steps", path, maxRedactionDepth)
		}
		if steps = append(steps, step); after == "" {
			return steps, nil
		}
		if after[0] != '.' {
			return nil, fmt.Errorf("path %.80q: %.20q follows a name; want \".\", \"[]\" or the end", path, after)
		}
		rest = after[1:]
	}
}

// cutName takes the name at the beginning of a path.
func cutName(path string) (name, after string, err error) {
	if strings.HasPrefix(path, `"`) {
		quoted, err := quotedPrefix(path)
		if err == nil {
			err = json.Unmarshal([]byte(quoted), &name)
		}
		if err != nil {
			return "", "", fmt.Errorf("%.40q does not begin with a JSON string", path)
		}
		return name, path[len(quoted):], nil
	}
	end := strings.IndexFunc(path, func(r rune) bool {
		return strings.ContainsRune(`.[]"*\`, r) || unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
	if end < 0 {
		end = len(path)
	}
	if end == 0 {
		return "", "", fmt.Errorf("a name is missing before %.20q", path)
	}
	return path[:end], path[end:], nil
}

func quotedPrefix(path string) (string, error) {
	for at := 1; at < len(path); at++ {
		switch path[at] {
		case '\\':
			at++
		case '"':
			return path[:at+1], nil
		}
	}
	return "", fmt.Errorf("the quote has no end")
}
