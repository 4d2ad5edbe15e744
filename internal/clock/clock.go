// Package clock makes time and chance arguments (ARCHITECTURE D11).
package clock

import (
	"time"

	"github.com/google/uuid"
)

// Clock tells the time.
type Clock func() time.Time

// System is the machine's clock, in UTC.
func System() time.Time { return time.Now().UTC() }

// Fixed is a clock that stands still at t.
func Fixed(t time.Time) Clock { return func() time.Time { return t.UTC() } }

// IDs makes run ids: lower-case UUIDs.
type IDs func() string

// NewID makes a version 7 UUID (RFC 9562): ids made later sort later.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }
