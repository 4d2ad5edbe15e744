package export

import "time"

// NoticeDeprecated says that a tenant still calls what will go.
const NoticeDeprecated = "export.api.deprecated"

// Notice is an event about no run: something that somebody should know.
type Notice struct {
	EventID       string            `json:"eventId"`
	TenantID      string            `json:"tenantId"`
	EventType     string            `json:"eventType"`
	Source        string            `json:"source"`
	OccurredAt    string            `json:"occurredAt"`
	CorrelationID string            `json:"correlationId"` // what the notice is about
	Payload       map[string]string `json:"payload"`
}

// NewNotice makes a notice about a thing, the same one however often it is made
// within a day (UTC): its id is derived of "notice", tenant, type, about and day.
func NewNotice(tenant, eventType, about string, at time.Time, payload map[string]string) Notice {
	at = at.UTC()
	return Notice{
		EventID:  DerivedID("notice", tenant, eventType, about, at.Format(time.DateOnly)),
		TenantID: tenant, EventType: eventType, Source: "exportcenter", OccurredAt: at.Format(time.RFC3339Nano),
		CorrelationID: about, Payload: payload,
	}
}
