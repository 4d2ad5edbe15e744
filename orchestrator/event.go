package orchestrator

import (
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// Event is what the outbox has of a record.
type Event struct {
	EventID       string `json:"eventId"`
	TenantID      string `json:"tenantId"`
	EventType     string `json:"eventType"`
	Source        string `json:"source"`
	OccurredAt    string `json:"occurredAt"` // when the record was stored
	CorrelationID string `json:"correlationId"`
	// Payload is the record, or what the timeline is told of it.
	Payload any `json:"payload"`
}

// Entry is what the timeline is told.
type Entry struct {
	RunID          string `json:"runId"`
	ArtifactHash   string `json:"artifactHash"`
	PolicyHash     string `json:"policyHash,omitempty"`
	ManifestPath   string `json:"manifestPath,omitempty"`
	LogsPath       string `json:"logsPath,omitempty"`
	DSSEDigest     string `json:"dsseDigest,omitempty"`
	IdempotencyKey string `json:"idempotencyKey"`
	Status         Status `json:"status"`
}

// Events tell of a record that was stored: of a new one that it was created, and
// the timeline of every status.
func Events(r Record, verdict Verdict, project string, at time.Time) ([]Event, error) {
	digest, err := r.DSSEDigest()
	if err != nil {
		return nil, err
	}
	entry := Entry{RunID: r.RunID, ArtifactHash: r.ArtifactHash, PolicyHash: r.PolicyHash, ManifestPath: r.ManifestPath,
		LogsPath: r.LogsPath, DSSEDigest: digest, IdempotencyKey: r.IdempotencyKey, Status: r.Status}
	var events []Event
	if verdict == Created {
		events = append(events, newEvent(r, EventCreated, project, at, r))
	}
	return append(events, newEvent(r, EventTimeline, project, at, entry)), nil
}

func newEvent(r Record, kind, project string, at time.Time, payload any) Event {
	return Event{EventID: eventID(r, kind, project), TenantID: r.TenantID, EventType: kind, Source: "exportcenter",
		OccurredAt: at.UTC().Format(time.RFC3339Nano), CorrelationID: r.RunID, Payload: payload}
}

// eventID follows from the record, so that it is the same however often it is
// written: an RFC 9562 version 8 UUID made of the first 16 bytes of
// SHA-256("orchestrator LF tenant LF project LF key LF event LF status").
func eventID(r Record, kind, project string) string {
	return export.DerivedID("orchestrator", r.TenantID, project, r.IdempotencyKey, kind, string(r.Status))
}

// Encode gives the event's canonical JSON.
func (e Event) Encode() ([]byte, error) {
	raw, err := bundle.MarshalCanonical(e)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.EventType, err)
	}
	return raw, nil
}
