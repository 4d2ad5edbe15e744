package export

import (
	"strings"
	"time"
	"unicode/utf8"
)

// PolicySnapshot is a policy pack that a tenant has imported. Runs that decide
// name one. Nothing of it changes, and it is never removed: what was decided by it
// can be decided again.
type PolicySnapshot struct {
	Tenant  string
	Project string // "" when the tenant has no projects
	ID      string // lower-case UUID, or BaselineSnapshot
	Name    string // as a profile's; with Version it is unique per tenant
	Version string // what the pack's publisher calls it: its manifest's revision
	Digest  string // of the pack, "sha256:<lower-case hex>"
	Bytes   int64  // of the pack

	Description string
	CreatedBy   string
	CreatedAt   time.Time
	// ArchivedBy and ArchivedAt are set once: an archived snapshot makes no new
	// runs. Runs that were asked for before go on.
	ArchivedBy string
	ArchivedAt time.Time
}

// BaselineSnapshot is the id of the built-in policy snapshot, which decides when a
// run names none. Its pack comes with the program.
const BaselineSnapshot = "policy-baseline"

// Bounds of a policy snapshot, in bytes.
const (
	// MaxPolicyPack bounds a pack as it is imported.
	MaxPolicyPack     = 4 << 20
	maxPolicyVersion  = 256
	maxSnapshotText   = 1024
	snapshotReserved  = "policy-"
	baselineShortName = "baseline"
)

// Archived reports whether s makes no new runs any more.
func (s PolicySnapshot) Archived() bool { return !s.ArchivedAt.IsZero() }

// BuiltIn reports whether s came with the program.
func (s PolicySnapshot) BuiltIn() bool { return s.ID == BaselineSnapshot }

// Decides reports whether runs of a kind decide by a policy snapshot.
func Decides(kind, variant string) bool { return kind == "json" && variant == "policy" }

// HoldsPolicy reports whether runs of a kind have a policy snapshot of the tenant's: they
// decide by it, or carry its pack.
func HoldsPolicy(kind, variant string) bool {
	return Decides(kind, variant) || IsFullMirror(kind, variant)
}

// CheckSnapshotName says why a new policy snapshot cannot have that name. One that
// reads like an id is refused, and so is the built-in one's.
func CheckSnapshotName(name string) error {
	refused := func(format string, args ...any) error {
		err := Errorf(CodeValidation, "name: "+format, args...)
		err.Field = "name"
		return err
	}
	switch {
	case len(name) < minProfileName || len(name) > maxProfileName || !profileName.MatchString(name):
		return refused("%.80q is not %d to %d lower-case letters, digits and inner hyphens", name, minProfileName, maxProfileName)
	case strings.HasPrefix(name, snapshotReserved) || ValidRunID(name):
		return refused("%s reads like the id of a policy snapshot; choose another name", name)
	case name == baselineShortName:
		return refused("%s is the name of the built-in policy snapshot; choose another name", name)
	}
	return nil
}

// Check says why s cannot be recorded. Its digest is not looked at.
func (s PolicySnapshot) Check() error {
	if err := CheckSnapshotName(s.Name); err != nil {
		return err
	}
	bad := func(field, format string, args ...any) error {
		err := Errorf(CodeValidation, field+": "+format, args...)
		err.Field = field
		return err
	}
	switch {
	case !ValidRunID(s.ID):
		return bad("id", "a policy snapshot needs a lower-case UUID")
	case s.CreatedAt.IsZero():
		return bad("createdAt", "a policy snapshot needs the time it was imported at")
	case s.Version == "" || len(s.Version) > maxPolicyVersion || !printableText(s.Version):
		return bad("version", "the pack's revision must be 1 to %d bytes of text without control characters", maxPolicyVersion)
	case len(s.Description) > maxSnapshotText || !printableText(s.Description):
		return bad("description", "must be at most %d bytes of text without control characters", maxSnapshotText)
	case s.Bytes < 1 || s.Bytes > MaxPolicyPack:
		return bad("pack", "a policy pack has 1 to %d bytes, not %d", MaxPolicyPack, s.Bytes)
	}
	return nil
}

// printableText reports whether s can be stored and shown anywhere as it is.
func printableText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 })
}
