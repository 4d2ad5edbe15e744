package storage

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/export"
)

// PolicySnapshots keeps the policy packs that tenants import. A store has no
// built-in one; WithBaseline adds it.
type PolicySnapshots interface {
	// ImportSnapshot records a snapshot and its pack, whose digest and size s must
	// name (ErrCorrupt else). Of a pack that is there under the same name it gives the
	// snapshot that is, whoever imported it, and created=false. The same name and
	// version with other bytes is ErrConflict. With an idempotency key that was used
	// before for the same request hash it returns the first snapshot; for another
	// request it is ErrConflict. A tenant that has as many as it may is refused with a
	// *QuotaReached.
	ImportSnapshot(ctx context.Context, s export.PolicySnapshot, pack []byte, idem Idempotency) (stored export.PolicySnapshot, created bool, err error)
	// GetSnapshot gives a snapshot by its id. ErrNotFound without one.
	GetSnapshot(ctx context.Context, tenant, id string) (export.PolicySnapshot, error)
	// ReadPack gives a snapshot with its pack: exactly the bytes that were imported, or
	// ErrCorrupt.
	ReadPack(ctx context.Context, tenant, id string) (export.PolicySnapshot, []byte, error)
	// ListSnapshots gives a page, ordered by name and version, and the cursor of the
	// next ("" at the end).
	ListSnapshots(ctx context.Context, tenant string, f SnapshotFilter) ([]export.PolicySnapshot, string, error)
	// ArchiveSnapshot ends a snapshot, once: again it changes nothing.
	ArchiveSnapshot(ctx context.Context, tenant, id string, by string, at time.Time) (export.PolicySnapshot, error)
}

// SnapshotFilter narrows a list of policy snapshots.
type SnapshotFilter struct {
	Project  string // "" = every project, else that one; the built-in one belongs to every
	Name     string // "" = any
	Archived Archived
	Limit    int    // 1..200
	Cursor   string // "" = first; else the cursor of the previous page
}

// Admits reports whether the filter, but for its cursor, lets s through.
func (f SnapshotFilter) Admits(s export.PolicySnapshot) bool {
	switch {
	case f.Name != "" && f.Name != s.Name, f.Project != "" && f.Project != s.Project && !s.BuiltIn():
		return false
	case f.Archived == ArchivedOnly:
		return s.Archived()
	}
	return f.Archived == ArchivedInclude || !s.Archived()
}

// SnapshotPlace is where a snapshot stands in lists: no two of a tenant share one.
type SnapshotPlace struct{ Name, Version string }

// PlaceOf gives a snapshot's place.
func PlaceOf(s export.PolicySnapshot) SnapshotPlace { return SnapshotPlace{s.Name, s.Version} }

// Compare orders places by name, then by version, as bytes.
func (p SnapshotPlace) Compare(q SnapshotPlace) int {
	return cmp.Or(strings.Compare(p.Name, q.Name), strings.Compare(p.Version, q.Version))
}

// A cursor of snapshots is the place of the last one of its page: places do not
// change, so pages neither repeat nor skip a snapshot that was there all the time.
const snapshotCursorForm = "s1."

func (p SnapshotPlace) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(snapshotCursorForm + p.Name + "\x00" + p.Version))
}

// After is the place the page begins behind; zero at the first.
func (f SnapshotFilter) After() (SnapshotPlace, error) {
	if f.Cursor == "" {
		return SnapshotPlace{}, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(f.Cursor)
	rest, ours := strings.CutPrefix(string(raw), snapshotCursorForm)
	name, version, whole := strings.Cut(rest, "\x00")
	at := SnapshotPlace{name, version}
	if err != nil || !ours || !whole || at.cursor() != f.Cursor || len(name) > 64 || !plainName(name) || !plainVersion(version) {
		bad := export.Errorf(export.CodeValidation, "cursor is not one of ours; pass the nextCursor of the previous page unchanged, or none for the first page")
		bad.Field = "cursor"
		return SnapshotPlace{}, bad
	}
	return at, nil
}

func plainVersion(version string) bool {
	return version != "" && len(version) <= 256 && strings.ToValidUTF8(version, "") == version && !strings.Contains(version, "\x00")
}

// SnapshotPage makes a page of snapshots that are ordered and already behind the
// cursor. There may be one more than the page holds, to tell whether another follows.
func SnapshotPage(found []export.PolicySnapshot, limit int) ([]export.PolicySnapshot, string) {
	if len(found) <= limit {
		return found, ""
	}
	page := slices.Clip(found[:limit])
	return page, PlaceOf(page[limit-1]).cursor()
}

// NoSnapshot is the error of a snapshot that is not there.
func NoSnapshot(id string) error {
	return &export.Error{Code: export.CodeNoSnapshot, Class: export.ClassPermanent, Field: "id", Err: ErrNotFound,
		Message: fmt.Sprintf("there is no policy snapshot %.80q", id)}
}

// OtherPack is the error of a pack whose name and version another one has: they
// are one pack, for ever.
func OtherPack(first export.PolicySnapshot) error {
	return &export.Error{Code: export.CodeStateConflict, Class: export.ClassPermanent, Field: "name", Err: ErrConflict,
		Message: fmt.Sprintf("name: policy snapshot %s has version %q already, of another pack (%s); give the new pack another revision in its .manifest, or another name",
			first.Name, first.Version, first.Digest)}
}

// SnapshotRefused is the error of a run that cannot decide by the policy snapshot
// that it names.
func SnapshotRefused(id, why string) error {
	return &export.Error{Code: export.CodePolicySnapshot, Class: export.ClassPermanent, Field: "options.policySnapshotId",
		Message: fmt.Sprintf("options.policySnapshotId: %.80q: %s; GET /api/export/policy-snapshots lists those to choose from", id, why)}
}
