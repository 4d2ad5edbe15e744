package export

import (
	"regexp"
	"strings"
	"time"
)

// Profile says what kind of bundle a run makes. Its configuration never
// changes: an edit makes a new revision. What it is called and how it is
// described may change, and does so in place.
type Profile struct {
	Tenant   string
	Project  string // "" when the tenant has no projects
	ID       string // lower-case UUID, or prof-<kind>-<variant> of a built-in one
	Revision int    // of the configuration, from 1
	Name     string // unique per tenant, for ever: it is never changed or given out again
	Kind     string
	Variant  string
	Config   ProfileConfig
	// CreatedBy and CreatedAt are of the revision.
	CreatedBy string
	CreatedAt time.Time

	// Version counts all changes, from 1: it tells two states of a profile apart.
	// 0 of a built-in one, which never changes.
	Version     int64
	Description string
	Labels      map[string]string
	UpdatedBy   string
	UpdatedAt   time.Time
	// ArchivedBy and ArchivedAt are set once: an archived profile makes no new
	// runs. Runs that were asked for before go on.
	ArchivedBy string
	ArchivedAt time.Time
}

// Label is the profile's catalogue name, "kind:variant".
func (p Profile) Label() string { return p.Kind + ":" + p.Variant }

// Archived reports whether p makes no new runs any more.
func (p Profile) Archived() bool { return !p.ArchivedAt.IsZero() }

// BuiltIn reports whether p came with the program.
func (p Profile) BuiltIn() bool { return strings.HasPrefix(p.ID, builtinPrefix) }

const builtinPrefix = "prof-"

// BuiltinProfiles are the profiles every tenant has without making them. Their
// ids are prof-<kind>-<variant>, their revision is 1 and changes only with a
// release that changes what they mean.
func BuiltinProfiles() []Profile {
	return []Profile{
		{ID: "prof-json-raw", Revision: 1, Name: "json-raw", Kind: "json", Variant: "raw", CreatedBy: "exportcenter",
			Description: "All evidence as canonical JSON lines", Config: ProfileConfig{Distribution: []string{"http"}}},
		{ID: "prof-json-policy", Revision: 1, Name: "json-policy", Kind: "json", Variant: "policy", CreatedBy: "exportcenter",
			Description: "Evidence, and what a policy decides about each component that an advisory names",
			Config:      ProfileConfig{Distribution: []string{"http"}, Include: []string{"advisories", "sboms", "vex"}}},
		{ID: "prof-trivy-db", Revision: 1, Name: "trivy-db", Kind: "trivy", Variant: "db", CreatedBy: "exportcenter",
			Description: "A vulnerability database for Trivy", Config: ProfileConfig{Distribution: []string{"http"}, Include: []string{"advisories"}}},
		{ID: "prof-trivy-java-db", Revision: 1, Name: "trivy-java-db", Kind: "trivy", Variant: "java-db", CreatedBy: "exportcenter",
			Description: "An index of Java archives by their SHA-1, for Trivy",
			Config:      ProfileConfig{Distribution: []string{"http"}, Include: []string{"artifacts", "sboms"}}},
		{ID: "prof-mirror-full", Revision: 1, Name: "mirror-full", Kind: "mirror", Variant: "full", CreatedBy: "exportcenter",
			Description: "All evidence with its originals, for a site without a network", Config: ProfileConfig{Distribution: []string{"http"}}},
		{ID: "prof-mirror-delta", Revision: 1, Name: "mirror-delta", Kind: "mirror", Variant: "delta", CreatedBy: "exportcenter",
			Description: "What changed between two full mirrors, for a site that has the first", Config: ProfileConfig{Distribution: []string{"http"}}},
	}
}

// Assembled reports whether runs of a kind make more of their shards than lines:
// a database, or decisions. Their adapter is done when those are.
func Assembled(kind, variant string) bool {
	switch kind + ":" + variant {
	case "json:policy", "trivy:db", "trivy:java-db", "mirror:full", "mirror:delta":
		return true
	}
	return false
}

// IsFullMirror reports whether runs of a kind are full mirrors, which have generations.
func IsFullMirror(kind, variant string) bool { return kind == "mirror" && variant == "full" }

// IsDelta reports whether runs of a kind lie between two full mirrors.
func IsDelta(kind, variant string) bool { return kind == "mirror" && variant == "delta" }

// DatabaseSchema is the schema of the database that runs of a kind make, by
// Trivy's count; 0 of kinds that make none.
func DatabaseSchema(kind, variant string) int {
	switch kind + ":" + variant {
	case "trivy:db":
		return 2
	case "trivy:java-db":
		return 1
	}
	return 0
}

// BuiltinProfile finds a built-in profile by id ("prof-json-raw"), by name
// ("json-raw") or by catalogue name ("json:raw").
func BuiltinProfile(ref string) (Profile, bool) {
	for _, p := range BuiltinProfiles() {
		if p.ID == ref || p.Name == ref || p.Label() == ref {
			return p, true
		}
	}
	return Profile{}, false
}

var profileName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// Bounds of a profile's name, in bytes.
const (
	minProfileName = 3
	maxProfileName = 64
)

// CheckProfileName says why a new profile cannot have that name. One that reads
// like an id is refused: a run asks for a profile by either.
func CheckProfileName(name string) error {
	refused := func(format string, args ...any) error {
		err := Errorf(CodeValidation, "name: "+format, args...)
		err.Field = "name"
		return err
	}
	switch {
	case len(name) < minProfileName || len(name) > maxProfileName || !profileName.MatchString(name):
		return refused("%.80q is not %d to %d lower-case letters, digits and inner hyphens", name, minProfileName, maxProfileName)
	case strings.HasPrefix(name, builtinPrefix) || ValidRunID(name):
		return refused("%s reads like the id of a profile; choose another name", name)
	}
	if _, taken := BuiltinProfile(name); taken {
		return refused("%s is the name of a built-in profile; choose another name", name)
	}
	return nil
}

// BuildsEvidence reports whether the files of evidence in bundles of a kind are built,
// and not the shards of its plan: a delta has what differs of them.
func BuildsEvidence(kind, variant string) bool { return IsDelta(kind, variant) }
