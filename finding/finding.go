// Package finding reads the findings of another policy engine, a format of our
// own (docs/formats/json-policy.md section 9): what that engine decided, about
// which component of which SBOM, and by which policy. They are taken as they
// are: nothing of them is decided again.
package finding

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
)

// FormatV1 is what a document's member "format" says.
const FormatV1 = "stellaops.findings/v1"

// List is one document.
type List struct {
	Format string `json:"format"`
	// ID is the publisher's name for the list, Modified its time, RFC 3339.
	ID       string    `json:"id,omitempty"`
	Modified string    `json:"modified,omitempty"`
	Policy   Policy    `json:"policy"`
	Findings []Finding `json:"findings"`
}

// Policy is what the other engine decided by.
type Policy struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Finding is one decision.
type Finding struct {
	Advisory string   `json:"advisory"` // CVE-2026-1
	Aliases  []string `json:"aliases,omitempty"`
	// Component is a package URL with its version; Ref the SBOM's name for it.
	Component string `json:"component"`
	Ref       string `json:"ref,omitempty"`
	// SBOM is the subject of the SBOM that has the component, Digest that of the
	// document, when the engine knows it.
	SBOM     string   `json:"sbom"`
	Digest   string   `json:"sbomDigest,omitempty"`
	Severity string   `json:"severity"`
	Action   string   `json:"action"`
	Reason   string   `json:"reason"`
	Rules    []string `json:"rules"`
	Fixed    []string `json:"fixed,omitempty"`
}

// Words that a finding may use.
var (
	Actions    = []string{"block", "warn", "allow", "suppress"}
	Severities = []string{"critical", "high", "medium", "low", "none", "unknown"}
)

// Bounds of one document.
const (
	maxFindings = 500_000
	maxText     = 4096
	maxList     = 100
)

// Read reads a document strictly: every member is known and every finding whole.
func Read(raw []byte) (List, error) {
	var l List
	if err := bundle.UnmarshalStrict(raw, &l); err != nil {
		return List{}, err
	}
	switch {
	case l.Format != FormatV1:
		return List{}, fmt.Errorf("format is %.80q, want %q", l.Format, FormatV1)
	case len(l.Findings) > maxFindings:
		return List{}, fmt.Errorf("findings has %d entries, at most %d are taken", len(l.Findings), maxFindings)
	case l.Findings == nil:
		return List{}, fmt.Errorf("findings is missing; it may be empty")
	}
	for name, text := range map[string]string{"policy.name": l.Policy.Name, "policy.version": l.Policy.Version} {
		if err := checkText(name, text, true); err != nil {
			return List{}, err
		}
	}
	for i := range l.Findings {
		if err := l.Findings[i].check(); err != nil {
			return List{}, fmt.Errorf("findings[%d].%w", i, err)
		}
	}
	return l, nil
}

func (f *Finding) check() error {
	for _, member := range []struct {
		name, text string
		required   bool
	}{
		{"advisory", f.Advisory, true}, {"component", f.Component, true}, {"ref", f.Ref, false}, {"sbom", f.SBOM, true}, {"reason", f.Reason, true},
	} {
		if err := checkText(member.name, member.text, member.required); err != nil {
			return err
		}
	}
	if f.Digest != "" {
		if _, err := bundle.ParseDigest(f.Digest); err != nil {
			return fmt.Errorf("sbomDigest: %w", err)
		}
	}
	switch {
	case !strings.HasPrefix(f.Component, "pkg:"):
		return fmt.Errorf("component is %.80q, want a package URL", f.Component)
	case !slices.Contains(Actions, f.Action):
		return fmt.Errorf("action is %.40q, want one of %s", f.Action, strings.Join(Actions, ", "))
	case !slices.Contains(Severities, f.Severity):
		return fmt.Errorf("severity is %.40q, want one of %s", f.Severity, strings.Join(Severities, ", "))
	case len(f.Rules) == 0:
		return fmt.Errorf("rules is empty; name at least one")
	}
	for name, list := range map[string][]string{"aliases": f.Aliases, "rules": f.Rules, "fixed": f.Fixed} {
		if len(list) > maxList {
			return fmt.Errorf("%s has %d entries, at most %d are taken", name, len(list), maxList)
		}
		for _, text := range list {
			if err := checkText(name, text, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkText(name, text string, required bool) error {
	switch {
	case text == "" && required:
		return fmt.Errorf("%s is missing or empty", name)
	case len(text) > maxText:
		return fmt.Errorf("%s has %d bytes, at most %d are taken", name, len(text), maxText)
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%s has control characters", name)
	}
	return nil
}
