package export

import "time"

// Profile says what kind of bundle a run makes. Its configuration never
// changes: an edit makes a new revision.
type Profile struct {
	Tenant    string
	Project   string
	ID        string
	Revision  int
	Name      string
	Kind      string
	Variant   string
	Config    map[string]any
	CreatedBy string
	CreatedAt time.Time
}

// Label is the profile's catalogue name, "kind:variant".
func (p Profile) Label() string { return p.Kind + ":" + p.Variant }

// BuiltinProfiles are the profiles every tenant has without making them. Their
// ids are prof-<kind>-<variant>, their revision is 1 and changes only with a
// release that changes what they mean.
func BuiltinProfiles() []Profile {
	return []Profile{
		{ID: "prof-json-raw", Revision: 1, Name: "json-raw", Kind: "json", Variant: "raw", CreatedBy: "exportcenter"},
	}
}

// BuiltinProfile finds a built-in profile by id ("prof-json-raw") or by
// catalogue name ("json:raw").
func BuiltinProfile(ref string) (Profile, bool) {
	for _, p := range BuiltinProfiles() {
		if p.ID == ref || p.Label() == ref {
			return p, true
		}
	}
	return Profile{}, false
}
