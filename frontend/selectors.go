package frontend

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// checkSelectors bounds the selectors and gives their one form: sorted, each
// value once, times in UTC, so that how they were written leaves no trace. An
// error names the member at fault (CONTRACT section 7).
func checkSelectors(in Selectors) (export.Selectors, error) {
	var out export.Selectors
	for _, member := range []struct {
		name   string
		values []string
		clean  func(string) (string, error)
		out    *[]string
	}{
		{"kinds", in.Kinds, knownKind, &out.Kinds},
		{"sources", in.Sources, shortText, &out.Sources},
		{"ecosystems", in.Ecosystems, shortText, &out.Ecosystems},
		{"products", in.Products, ledger.ProductPattern, &out.Products},
		{"severities", in.Severities, knownSeverity, &out.Severities},
		{"sbomSubjects", in.SbomSubjects, subjectPattern, &out.SBOMSubjects},
		{"include", in.Include, ledger.IDPattern, &out.Include},
		{"exclude", in.Exclude, ledger.IDPattern, &out.Exclude},
		{"projects", in.Projects, projectName, &out.Projects},
		{"tenants", in.Tenants, tenantName, &out.Tenants},
	} {
		values, err := selectorValues("selectors."+member.name, member.values, member.clean)
		if err != nil {
			return out, err
		}
		*member.out = values
	}
	var err error
	if out.TimeWindow, err = timeWindow("selectors.timeWindow", in.TimeWindow); err != nil {
		return out, err
	}
	out.Sample, err = sample("selectors.sample", in.Sample)
	return out, err
}

// selectorValues cleans, sorts and unites the values of one member.
func selectorValues(field string, values []string, clean func(string) (string, error)) ([]string, error) {
	if len(values) > maxSelectorValues {
		return nil, fieldError(export.CodeSelector, field, "has %d values, at most %d are allowed", len(values), maxSelectorValues)
	}
	var cleaned []string
	for i, value := range values {
		value, err := clean(value)
		if err != nil {
			return nil, fieldError(export.CodeSelector, fmt.Sprintf("%s[%d]", field, i), "%v", err)
		}
		cleaned = append(cleaned, value)
	}
	slices.Sort(cleaned)
	return slices.Compact(cleaned), nil
}

func shortText(value string) (string, error) {
	if value == "" || len(value) > maxSelectorText || !plainText(value) {
		return "", fmt.Errorf("must be 1 to %d bytes of text without control characters", maxSelectorText)
	}
	return value, nil
}

func knownKind(value string) (string, error) {
	if !ledger.Kind(value).Valid() {
		return "", fmt.Errorf("%.40q is not a kind; use %s", value, strings.Join(kindNames(), ", "))
	}
	return value, nil
}

func kindNames() []string {
	var names []string
	for _, kind := range ledger.Kinds {
		names = append(names, string(kind))
	}
	return names
}

// subjectPattern takes a name, a digest or a pattern of them; digests are lower case.
func subjectPattern(value string) (string, error) {
	if algorithm, hex, digest := strings.Cut(value, ":"); digest && strings.HasPrefix(strings.ToLower(algorithm), "sha") && !strings.ContainsAny(hex, ":/@") {
		value = strings.ToLower(value)
	}
	return ledger.IDPattern(value)
}

func knownSeverity(value string) (string, error) {
	if !ledger.Severity(value).Valid() {
		return "", fmt.Errorf("%.40q is not a severity; use critical, high, medium, low or none", value)
	}
	return value, nil
}

// projectName takes a project's name, or "_" for documents without one (ruling 14).
func projectName(value string) (string, error) {
	if value != ledger.NoProject && !export.ValidTenant(value) {
		return "", fmt.Errorf("%.80q is not a project: 1 to 63 lower-case letters, digits and inner hyphens, or _ for none", value)
	}
	return value, nil
}

func tenantName(value string) (string, error) {
	if !export.ValidTenant(value) {
		return "", fmt.Errorf("%.80q is not a tenant name: 1 to 63 lower-case letters, digits and inner hyphens", value)
	}
	return value, nil
}

// sample checks a sample; its method is written out in the result.
func sample(field string, in *Sample) (*export.Sample, error) {
	if in == nil {
		return nil, nil
	}
	out := export.Sample{Rate: in.Rate, Seed: in.Seed, Method: in.Method}
	if out.Method == "" {
		out.Method = export.SampleHash
	}
	switch {
	case !(out.Rate >= 0 && out.Rate <= 1):
		return nil, fieldError(export.CodeSelector, field+".rate", "%v is not a number from 0 to 1", out.Rate)
	case len(out.Seed) > maxSelectorText || !plainText(out.Seed):
		return nil, fieldError(export.CodeSelector, field+".seed", "must be at most %d bytes of text without control characters", maxSelectorText)
	case out.Method != export.SampleHash:
		return nil, fieldError(export.CodeSelector, field+".method", "%.40q is not a method; use %s", out.Method, export.SampleHash)
	}
	if out.Rate == 0 { // -0 is a second spelling
		out.Rate = 0
	}
	return &out, nil
}

// timeWindow checks a window of time; its field is written out in the result.
func timeWindow(field string, in *TimeWindow) (*export.TimeWindow, error) {
	if in == nil {
		return nil, nil
	}
	out := export.TimeWindow{Field: export.TimeField(in.Field)}
	switch out.Field {
	case "":
		out.Field = export.TimeModified
	case export.TimeModified, export.TimeObserved:
	default:
		return nil, fieldError(export.CodeSelector, field+".field", "%.40q is not a moment of a document; use %s or %s",
			in.Field, export.TimeModified, export.TimeObserved)
	}
	var err error
	if out.From, err = windowTime(field+".from", in.From); err != nil {
		return nil, err
	}
	if out.To, err = windowTime(field+".to", in.To); err != nil {
		return nil, err
	}
	switch {
	case out.From == nil && out.To == nil:
		return nil, fieldError(export.CodeSelector, field, "needs from, to or both")
	case out.From != nil && out.To != nil && !out.From.Before(*out.To):
		return nil, fieldError(export.CodeSelector, field, "from %s is not before to %s, which is not in the window",
			out.From.Format(time.RFC3339Nano), out.To.Format(time.RFC3339Nano))
	}
	return &out, nil
}

func windowTime(field string, value *string) (*time.Time, error) {
	if value == nil {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339Nano, *value)
	if len(*value) > maxTimeText || err != nil || at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
		return nil, fieldError(export.CodeSelector, field, "%.64q is not an RFC 3339 time such as 2026-11-21T08:00:00Z", *value)
	}
	at = at.UTC()
	return &at, nil
}

// selectorsDocument is selectors as clients write them.
func selectorsDocument(s export.Selectors) Selectors {
	doc := Selectors{Kinds: s.Kinds, Sources: s.Sources, Ecosystems: s.Ecosystems, Products: s.Products, Severities: s.Severities,
		SbomSubjects: s.SBOMSubjects, Include: s.Include, Exclude: s.Exclude, Projects: s.Projects, Tenants: s.Tenants}
	if s.Sample != nil {
		doc.Sample = &Sample{Rate: s.Sample.Rate, Seed: s.Sample.Seed, Method: s.Sample.Method}
	}
	if w := s.TimeWindow; w != nil {
		doc.TimeWindow = &TimeWindow{From: windowText(w.From), To: windowText(w.To), Field: string(w.Field)}
	}
	return doc
}

func windowText(at *time.Time) *string {
	if at == nil {
		return nil
	}
	text := at.UTC().Format(time.RFC3339Nano)
	return &text
}
