package export

import (
	"crypto/sha256"
	"fmt"
	"time"
)

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
// within a day (UTC). Its id is an RFC 9562 version 8 UUID of the first 16 bytes of
// SHA-256("notice LF tenant LF type LF about LF day").
func NewNotice(tenant, eventType, about string, at time.Time, payload map[string]string) Notice {
	at = at.UTC()
	sum := sha256.Sum256([]byte("notice\n" + tenant + "\n" + eventType + "\n" + about + "\n" + at.Format(time.DateOnly)))
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return Notice{
		EventID:  fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16]),
		TenantID: tenant, EventType: eventType, Source: "exportcenter", OccurredAt: at.Format(time.RFC3339Nano),
		CorrelationID: about, Payload: payload,
	}
}
