package export

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// Event is one entry of a run's journal (export_events). Seq starts at 1 and
// has no gaps; an event commits in the transaction of the change it tells of.
type Event struct {
	RunID   string           `json:"runId"`
	Seq     int64            `json:"seq"`
	Type    EventType        `json:"eventType"`
	Message string           `json:"message"`
	At      time.Time        `json:"at"`
	Metrics map[string]int64 `json:"metrics,omitempty"`
}

// EventType names an event of a run's journal.
type EventType string

// Journal events.
const (
	EventPending         EventType = "run.pending"
	EventStarted         EventType = "run.started"
	EventPlanned         EventType = "run.planned"
	EventProgress        EventType = "run.progress"
	EventCancelRequested EventType = "run.cancel_requested"
	EventAdapterStart    EventType = "adapter.start"
	EventAdapterChunk    EventType = "adapter.chunk"
	EventAdapterComplete EventType = "adapter.complete"
	EventAdapterError    EventType = "adapter.error"
	EventGuardPassed     EventType = "guard.passed"
	EventWaiting         EventType = "run.waiting"
	EventApproved        EventType = "run.approved"
	EventRejected        EventType = "run.rejected"
	EventResumed         EventType = "run.resumed"
	EventManifestWritten EventType = "manifest.written"
	EventCompared        EventType = "rebuild.compared"
	EventSigningStarted  EventType = "signing.started"
	EventSigned          EventType = "signing.completed"
	EventLeftOut         EventType = "recipient.omitted"
	EventEncrypted       EventType = "bundle.encrypted"
	EventDistributing    EventType = "distribution.started"
	EventDistributed     EventType = "distribution.completed"
	EventArtifactReady   EventType = "artifact_ready"
	EventSucceeded       EventType = "run.succeeded"
	EventFailed          EventType = "run.failed"
	EventAborted         EventType = "run.aborted"
)

// Terminal reports whether a journal ends with t.
func (t EventType) Terminal() bool {
	switch t {
	case EventSucceeded, EventFailed, EventAborted:
		return true
	}
	return false
}

// Transition is what the rest of the platform hears of a run: its timeline
// events, published through the outbox.
type Transition string

// Timeline transitions.
const (
	TransitionRequested   Transition = "export.requested"
	TransitionWaiting     Transition = "export.waiting"
	TransitionApproved    Transition = "export.approved"
	TransitionRejected    Transition = "export.rejected"
	TransitionBuilt       Transition = "export.built"
	TransitionDistributed Transition = "export.distributed"
	TransitionFailed      Transition = "export.failed"
)

// TimelineEventID derives the id of a timeline event from the run and the
// transition, so that a retried activity writes the same row again: an RFC
// 9562 version 8 UUID made of the first 16 bytes of
// SHA-256("timeline LF tenant LF run LF transition").
func TimelineEventID(ref Ref, t Transition) string {
	return DerivedID("timeline", ref.Tenant, ref.RunID, string(t))
}

// DerivedID is an id that follows from what it names, so that it is the same however
// often it is made: an RFC 9562 version 8 UUID of the first 16 bytes of SHA-256 over
// the names with a line feed between them.
func DerivedID(names ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

// TimelineEvent is the payload of an outbox row.
type TimelineEvent struct {
	EventID        string        `json:"eventId"`
	TenantID       string        `json:"tenantId"`
	EventType      Transition    `json:"eventType"`
	Source         string        `json:"source"`
	OccurredAt     string        `json:"occurredAt"`
	CorrelationID  string        `json:"correlationId"`
	RunID          string        `json:"runId"`
	ProfileID      string        `json:"profileId"`
	ManifestDigest string        `json:"manifestDigest,omitempty"`
	PayloadDigest  string        `json:"payloadDigest,omitempty"`
	EvidenceRefs   []EvidenceRef `json:"evidenceRefs"`
	Failure        *Failure      `json:"failure,omitempty"`
	// Attributes are absent of a run of the present: see Run.Attributes.
	Attributes map[string]string `json:"attributes,omitempty"`
}

// EvidenceRef points from a timeline event to what proves it.
type EvidenceRef struct {
	Kind   string `json:"kind"` // manifest, provenance, archive
	Digest string `json:"digest"`
	URI    string `json:"uri"` // cas://sha256/<hex>
}
