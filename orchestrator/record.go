// Package orchestrator has the words and rules of the contract between an
// orchestrator and the Findings Ledger: what a record of an export says, when it is
// believed, and what may follow it under the same key. docs/orchestrator-exports.md
// is the contract for people; who stores records is elsewhere.
package orchestrator

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
)

// PayloadType is the DSSE payload type of a record.
const PayloadType = "application/vnd.stellaops.orchestrator.export+json"

// Events that tell of records, through the outbox.
const (
	EventCreated  = "orchestrator.export.created"
	EventTimeline = "ledger_export"
)

// Status is how far an export is.
type Status string

// Statuses. The last three are ends.
const (
	StatusPending   Status = "pending"
	StatusRunning   Status = "running"
	StatusSucceeded Status = "succeeded"
	StatusFailed    Status = "failed"
	StatusCanceled  Status = "canceled"
)

// Ended reports whether nothing follows s.
func (s Status) Ended() bool {
	return s == StatusSucceeded || s == StatusFailed || s == StatusCanceled
}

// follows says which statuses may come after s: pending, running, one end.
func (s Status) follows(next Status) bool {
	switch s {
	case StatusPending:
		return next == StatusRunning
	case StatusRunning:
		return next.Ended()
	}
	return false
}

// Record is what a producer says of an export. Texts that are empty are not said.
type Record struct {
	RunID          string      `json:"runId"` // lower-case UUID
	JobType        string      `json:"jobType,omitempty"`
	ArtifactHash   string      `json:"artifactHash"` // sha256:<hex>
	PolicyHash     string      `json:"policyHash,omitempty"`
	StartedAt      string      `json:"startedAt"` // RFC 3339, UTC
	CompletedAt    string      `json:"completedAt,omitempty"`
	Status         Status      `json:"status"`
	ManifestPath   string      `json:"manifestPath,omitempty"` // cas://
	LogsPath       string      `json:"logsPath,omitempty"`     // cas://
	TenantID       string      `json:"tenantId,omitempty"`
	Environment    string      `json:"environment,omitempty"` // prod, stage, dev
	IdempotencyKey string      `json:"idempotencyKey,omitempty"`
	BundleID       string      `json:"bundleId,omitempty"`
	ScanID         string      `json:"scanId,omitempty"`
	Signatures     []Signature `json:"signatures,omitempty"`
}

// Signature is a DSSE signature over the rest of the record.
type Signature struct {
	Type      string `json:"type"` // dsse
	KeyID     string `json:"keyId"`
	Signature string `json:"signature"` // base64, RFC 4648 section 4
}

// NothingMade is the artifact hash of a run that made nothing: SHA-256 of no bytes.
const NothingMade = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Key is the idempotency key of a record: SHA-256 over run id, artifact hash and
// tenant, written one after the other, as sha256:<hex>.
func Key(runID, artifactHash, tenant string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(runID+artifactHash+tenant)))
}

// Payload is what the signatures of a record are over: the record without them, in
// canonical JSON (RFC 8785).
func (r Record) Payload() ([]byte, error) {
	r.Signatures = nil
	payload, err := bundle.MarshalCanonical(r)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return payload, nil
}

// Normal is the one form in which records are kept: digests in lower case, tenant and
// key said.
func (r Record) Normal(tenant string) Record {
	r.ArtifactHash, r.PolicyHash = strings.ToLower(r.ArtifactHash), strings.ToLower(r.PolicyHash)
	r.TenantID = tenant
	r.IdempotencyKey = Key(r.RunID, r.ArtifactHash, tenant)
	if len(r.Signatures) == 0 {
		r.Signatures = nil
	}
	return r
}
