package export

import (
	"fmt"
	"slices"
	"time"
)

// GuardConfig is what a profile says of the guard (docs/guard.md). Absent members have
// a value of their own.
type GuardConfig struct {
	// MaxDropPercent is how much a source may lose: what is beyond it parks the run.
	MaxDropPercent *int `json:"maxDropPercent,omitempty"` // 0 to 100; nil is 10
	// MaxAgeHours is how old the newest document of a source may be when the run is
	// asked for; 0 does not ask.
	MaxAgeHours int `json:"maxAgeHours,omitempty"`
	// Canaries are ids or aliases that every result has.
	Canaries []string `json:"canaries,omitempty"`
	// ExpiresHours is how long a run waits for somebody to decide; 0 is a week.
	ExpiresHours int `json:"expiresHours,omitempty"`
}

// What a profile that says nothing has.
const (
	DefaultMaxDropPercent = 10
	DefaultExpiresHours   = 7 * 24
)

// MaxDrop is the bound in percent.
func (c *GuardConfig) MaxDrop() int {
	if c == nil || c.MaxDropPercent == nil {
		return DefaultMaxDropPercent
	}
	return *c.MaxDropPercent
}

// Patience is how long a run waits.
func (c *GuardConfig) Patience() time.Duration {
	if c == nil || c.ExpiresHours == 0 {
		return DefaultExpiresHours * time.Hour
	}
	return time.Duration(c.ExpiresHours) * time.Hour
}

// Of is what of c is asked of a run: of one as of the past not how old it is, because
// that is what was asked for.
func (c *GuardConfig) Of(run Run) *GuardConfig {
	if c == nil || !run.Past() {
		return c
	}
	about := *c
	about.MaxAgeHours = 0
	return &about
}

// Normal is the one form of c.
func (c *GuardConfig) Normal() *GuardConfig {
	if c == nil {
		return nil
	}
	normal := *c
	normal.Canaries = slices.Compact(slices.Sorted(slices.Values(c.Canaries)))
	return &normal
}

// SourceCount is what one source gave a run: the guard holds it against what it gave
// the last one.
type SourceCount struct {
	Source string `json:"source"` // as given at import, as Stream
	Stream string `json:"stream,omitempty"`
	Kind   string `json:"kind"` // of its evidence
	// Documents that were selected, and Records of the result that come of them: a
	// withdrawn advisory is a document without a record.
	Documents int64 `json:"documents"`
	Records   int64 `json:"records"`
	// Newest is the greatest modification time of the documents, in
	// ledger.ModifiedLayout, which sorts as text; "" when none has one.
	Newest string `json:"newest,omitempty"`
}

// GuardReport is what the guard found, whether or not it parks the run. Its lists are
// bounded; the totals are not.
type GuardReport struct {
	// Baseline is the run that it was held against: the last of the same profile,
	// project and selection that succeeded. nil without one.
	Baseline *GuardBaseline `json:"baseline,omitempty"`
	// MaxDropPercent and MaxAgeHours are the bounds that were asked for.
	MaxDropPercent int           `json:"maxDropPercent"`
	MaxAgeHours    int           `json:"maxAgeHours,omitempty"`
	Reasons        []GuardReason `json:"reasons"`
	ReasonsTotal   int           `json:"reasonsTotal"`
	Sources        []GuardSource `json:"sources"`
	SourcesTotal   int           `json:"sourcesTotal"`
	Canaries       []GuardCanary `json:"canaries"`
	Disappeared    Disappeared   `json:"disappeared"`
}

// Bounds of a report's lists.
const (
	MaxGuardReasons     = 1000
	MaxGuardSources     = 1000
	MaxDisappeared      = 10_000
	MaxDisappearedBytes = 1 << 20 // of their names
)

// GuardBaseline names the run that another is held against.
type GuardBaseline struct {
	RunID       string    `json:"runId"`
	RequestedAt time.Time `json:"requestedAt"`
}

// GuardSource is a source before and now; nil where it gave nothing.
type GuardSource struct {
	Source string       `json:"source"`
	Stream string       `json:"stream,omitempty"`
	Kind   string       `json:"kind"`
	Before *SourceState `json:"before,omitempty"`
	Now    *SourceState `json:"now,omitempty"`
}

// SourceState is what a source gave.
type SourceState struct {
	Documents int64  `json:"documents"`
	Records   int64  `json:"records"`
	Newest    string `json:"newest,omitempty"`
}

// GuardReason is a rule that a run does not keep, in a sentence that says so.
type GuardReason struct {
	Rule    GuardRule `json:"rule"`
	Source  string    `json:"source,omitempty"`
	Stream  string    `json:"stream,omitempty"`
	Kind    string    `json:"kind,omitempty"`
	Canary  string    `json:"canary,omitempty"`
	Message string    `json:"message"`
}

// GuardRule names what parks a run.
type GuardRule string

// The rules.
const (
	RuleVanished GuardRule = "source-vanished"  // it gave documents, or records, and gives none
	RuleDropped  GuardRule = "source-dropped"   // it gives fewer than the bound allows
	RuleOlder    GuardRule = "source-older"     // its newest document is older than it was
	RuleStale    GuardRule = "source-stale"     // its newest document is older than it may be
	RuleCanary   GuardRule = "canary-not-found" // the result does not have it
)

// GuardCanary is a canary, and whether the result has it.
type GuardCanary struct {
	ID    string `json:"id"`
	Found bool   `json:"found"`
}

// Disappeared are documents that gave records before, and give none now.
type Disappeared struct {
	Total     int64          `json:"total"`
	Documents []GoneDocument `json:"documents"` // the first of them, in the order of an export
	// Unknown says why they are not listed, "" when they are.
	Unknown string `json:"unknown,omitempty"`
}

// GoneDocument is a document that disappeared.
type GoneDocument struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	// Withdrawn: it is still there, and no record comes of it any more.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

// Wait is what a run waits for, or waited for.
type Wait struct {
	Since time.Time
	Until time.Time // then it has expired
	Why   string    // in short; the report says more
	// Decision is nil until there is one; the first stands.
	Decision *Decision
	// ResumedAt is when it got a slot again, zero until then.
	ResumedAt time.Time
}

// Approved reports whether the run may go on.
func (w *Wait) Approved() bool { return w.Decision != nil && w.Decision.Verdict == VerdictApproved }

// Decision is what somebody says of a run that waits. It is the argument of the
// workflow's signal "decision" too.
type Decision struct {
	Verdict Verdict   `json:"verdict"`
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// Verdict is the word of a decision.
type Verdict string

// Verdicts. Nobody says expired: it is what a wait without a decision ends with.
const (
	VerdictApproved Verdict = "approved"
	VerdictRejected Verdict = "rejected"
	VerdictExpired  Verdict = "expired"
)

// Refuses says why a decision about the run is not taken, "" when it is: the first one
// stands, and the same by the same person again is no other, also after the end.
func (r Run) Refuses(d Decision) string {
	if r.Wait != nil && r.Wait.Decision != nil {
		first := r.Wait.Decision
		if first.Verdict == d.Verdict && first.By == d.By {
			return ""
		}
		if first.Verdict != VerdictExpired {
			return fmt.Sprintf("the run was %s by %s already, and the first decision stands", first.Verdict, first.By)
		}
	}
	switch {
	case r.State.Terminal():
		return fmt.Sprintf("the run has ended: it is %s", r.State)
	case r.Wait == nil:
		return fmt.Sprintf("the run waits for no decision: it is %s", r.State)
	case r.Cancel != nil:
		return "the run is to be cancelled"
	case r.Wait.Decision != nil, !d.At.Before(r.Wait.Until):
		return fmt.Sprintf("the run could be decided about until %s; ask for a new one", r.Wait.Until.Format(time.RFC3339))
	}
	return ""
}
