package export

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// ProfileConfig is what a revision of a profile says of its runs (CONTRACT
// section 1). Which of it a kind can follow is in the kind's JSON schema.
type ProfileConfig struct {
	// Include are the types of evidence a run takes: advisories, vex, sboms,
	// findings; empty takes every kind.
	Include            []string       `json:"include,omitempty"`
	PolicySnapshotMode SnapshotMode   `json:"policySnapshotMode,omitempty"`
	Distribution       []string       `json:"distribution,omitempty"` // http, oci, object; empty is http
	Compression        *Compression   `json:"compression,omitempty"`
	Encryption         *Encryption    `json:"encryption,omitempty"`
	Retention          *Retention     `json:"retention,omitempty"`
	Quotas             *ProfileQuotas `json:"quotas,omitempty"`
	Approvals          []Approval     `json:"approvals,omitempty"`
	// Redaction is what a run leaves out that asks for no redaction of its own.
	Redaction *Redaction `json:"redaction,omitempty"`
	// Guard says when a result that shrank waits for an approval.
	Guard *GuardConfig `json:"guard,omitempty"`
}

// SnapshotMode says whether a run names a policy snapshot; "" is optional.
type SnapshotMode string

// Modes of policy snapshots.
const (
	SnapshotRequired SnapshotMode = "required"
	SnapshotOptional SnapshotMode = "optional"
	SnapshotNone     SnapshotMode = "none"
)

// Compression of payload files.
type Compression struct {
	Codec string `json:"codec"`
	Level int    `json:"level,omitempty"` // 0 = the codec's own
}

// Encryption of payload files.
type Encryption struct {
	Enabled       bool     `json:"enabled"`
	Mode          string   `json:"mode,omitempty"`
	RecipientKeys []string `json:"recipientKeys,omitempty"`
	Strict        bool     `json:"strict,omitempty"`
}

// Retention says how long bundles are kept.
type Retention struct {
	Mode     string `json:"mode"` // days, count, none
	Days     int    `json:"days,omitempty"`
	KeepLast int    `json:"keepLast,omitempty"`
}

// ProfileQuotas bound the runs of one profile; 0 is no bound of its own.
type ProfileQuotas struct {
	MaxConcurrentRuns int   `json:"maxConcurrentRuns,omitempty"`
	MaxBytes          int64 `json:"maxBytes,omitempty"`
	MaxRunsPerDay     int   `json:"maxRunsPerDay,omitempty"`
}

// Approval lets runs of a profile read another tenant's evidence. What counts is
// the signature: a DSSE envelope that says the same, by an approver this
// installation trusts.
type Approval struct {
	Tenant    string    `json:"tenant"`            // whose evidence may be read
	Project   string    `json:"project,omitempty"` // of it; "_" = documents without one, "" = all
	Approver  string    `json:"approver"`          // who approved, for readers
	ExpiresAt time.Time `json:"expiresAt"`
	Signature string    `json:"signature"` // DSSE envelope, JSON text
}

// included are the kinds of evidence behind the words of Include.
var included = map[string]string{"advisories": "advisory", "vex": "vex", "sboms": "sbom", "findings": "finding", "artifacts": "artifact"}

// IncludedKinds are the kinds of evidence that runs take, sorted; nil is all.
func (c ProfileConfig) IncludedKinds() []string {
	var kinds []string
	for _, word := range c.Include {
		if kind, known := included[word]; known {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// Normal is the one form of c: lists that are sets are sorted, so that the
// order in which they were written makes no revision.
func (c ProfileConfig) Normal() ProfileConfig {
	c.Include = slices.Sorted(slices.Values(c.Include))
	c.Distribution = slices.Sorted(slices.Values(c.Distribution))
	c.Redaction = c.Redaction.Normal()
	c.Guard = c.Guard.Normal()
	c.Encryption = c.Encryption.Normal()
	c.Approvals = slices.Clone(c.Approvals)
	for i := range c.Approvals {
		c.Approvals[i].ExpiresAt = c.Approvals[i].ExpiresAt.UTC()
	}
	slices.SortFunc(c.Approvals, func(a, b Approval) int { return strings.Compare(a.Tenant+a.Signature, b.Tenant+b.Signature) })
	return c
}

// SameAs reports whether both mean the same to every run.
func (c ProfileConfig) SameAs(other ProfileConfig) bool { return c.text() == other.text() }

// Withdraws reports whether all that c does to before is to have fewer approvals.
func (c ProfileConfig) Withdraws(before ProfileConfig) bool {
	had := len(before.Approvals)
	before.Approvals = slices.DeleteFunc(slices.Clone(before.Approvals), func(a Approval) bool {
		return !slices.ContainsFunc(c.Approvals, func(left Approval) bool { return left.Signature == a.Signature })
	})
	return len(before.Approvals) < had && c.SameAs(before)
}

func (c ProfileConfig) text() string {
	text, err := json.Marshal(c.Normal()) // maps are sorted
	if err != nil {
		panic(err) // texts, numbers and times of a checked configuration always encode
	}
	return string(text)
}
