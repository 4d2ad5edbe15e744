package storage

import "fmt"

// Limits bound the runs of one tenant. The zero value of a number is its
// default.
type Limits struct {
	// Active runs hold a slot: they were given to Temporal and have not ended.
	// One that waits for an approval holds none (CONTRACT ruling 7).
	Active int
	// Pending runs wait for a slot. Past that number a request is refused.
	Pending int
}

// Defaults of Limits (CONTRACT section 2, ruling 7).
const (
	DefaultActive  = 4
	DefaultPending = 100
)

// OrDefault gives l with defaults where it says nothing.
func (l Limits) OrDefault() Limits {
	if l.Active == 0 {
		l.Active = DefaultActive
	}
	if l.Pending == 0 {
		l.Pending = DefaultPending
	}
	return l
}

// QueueFull is why a run is not taken: so many wait already.
type QueueFull struct{ Limit int }

func (q *QueueFull) Error() string {
	return fmt.Sprintf("%d runs of the tenant wait for a slot", q.Limit)
}
