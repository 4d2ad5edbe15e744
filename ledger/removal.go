package ledger

import (
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/export"
)

// Removal says that a document is not published any more. It is recorded like a
// revision, with a sequence of its own, and deletes nothing: as of a sequence
// before it the document is there.
//
// Its place among the revisions is its time: it is greater than every revision
// modified until then, that moment included, and less than every later one. As
// of S a document is gone when the greatest of what is numbered S or lower is a
// removal. So what came first does not matter: a later modification brings the
// document back, the same or older bytes do not. A revision without a time of
// its own is before every removal (docs/decisions/0019).
type Removal struct {
	Identity
	// Time is when the document was removed, as whoever says so states it. Zero
	// states nothing: what stands is removed (Now), and what is removed already
	// stays as it is.
	Time   time.Time
	Reason string // one line, may be ""
	By     string // who said so, may be ""
}

// RemovalCounts is what became of removals:
// Removed + Unchanged + Superseded + Absent = Read.
type RemovalCounts struct {
	Read int64 `json:"read"`
	// Removed were recorded: the document is gone as of the stated time.
	Removed int64 `json:"removed"`
	// Unchanged documents were removed already, at the stated time or later.
	Unchanged int64 `json:"unchanged"`
	// Superseded removals were not recorded: a revision that was modified later stands.
	Superseded int64 `json:"superseded"`
	// Absent removals name what the ledger never had. They are not recorded.
	Absent int64 `json:"absent"`
	// Missing are the positions of the absent ones in the batch, in order.
	Missing []int `json:"-"`
	// Standing are the superseded ones, in the same order.
	Standing []Standing `json:"-"`
}

// Standing is a document that a removal came too early for.
type Standing struct {
	Position int    // in the batch
	Modified string // of the revision that stands, in ModifiedLayout
}

// Add adds other to c, but for what is missing or standing: positions are of one batch.
func (c *RemovalCounts) Add(other RemovalCounts) {
	c.Read += other.Read
	c.Removed += other.Removed
	c.Unchanged += other.Unchanged
	c.Superseded += other.Superseded
	c.Absent += other.Absent
}

// Bounds of removals.
const (
	MaxRemovals = 10_000 // of one call
	MaxReason   = 1024   // bytes
)

// Validate names the first field at fault.
func (r Removal) Validate() error {
	switch {
	case r.Project != "" && r.Project != NoProject && !export.ValidTenant(r.Project):
		return fmt.Errorf("project %.80q: want lower-case letters, digits and inner hyphens", r.Project)
	case !r.Kind.Valid():
		return fmt.Errorf("kind %.80q is unknown", r.Kind)
	case !ValidName(r.Source):
		return fmt.Errorf("source %.80q: want 1 to %d letters, digits and . _ + -", r.Source, MaxName)
	case !ValidName(r.Stream):
		return fmt.Errorf("stream %.80q: want 1 to %d letters, digits and . _ + -", r.Stream, MaxName)
	case r.UpstreamID == "":
		return fmt.Errorf("upstream id is empty")
	}
	if err := checkText("upstream id", r.UpstreamID, MaxUpstreamID); err != nil {
		return err
	}
	if at := r.Time.UTC(); !r.Time.IsZero() && (at.Year() < 1 || at.Year() > 9999) {
		return fmt.Errorf("time: year %d is not in 1 to 9999", at.Year())
	}
	if err := checkText("reason", r.Reason, MaxReason); err != nil {
		return err
	}
	return checkText("by", r.By, MaxReason)
}

// Now gives a removal that states no time the moment of recording, or the
// modification time of what stands when that is later: some publishers' clocks
// are ahead.
func (r Removal) Now(at time.Time, stands string) Removal {
	r.Time = at.UTC()
	if modified, err := time.Parse(ModifiedLayout, stands); err == nil && modified.After(r.Time) {
		r.Time = modified
	}
	return r
}

// Modified is the time in the form of Observation.Modified.
func (r Removal) Modified() string { return r.Time.UTC().Format(ModifiedLayout) }

// Covers reports whether a removal stated for a time is greater than a revision
// modified then; both in ModifiedLayout, "" without one.
func Covers(removed, modified string) bool { return removed >= modified }
